import base64

print("Loading function")


def handler(event, context):
    for record in event["Records"]:
        print("Decoded payload: " + base64.b64decode(record["kinesis"]["data"]).decode())
    return "Successfully processed {} records.".format(len(event["Records"]))
