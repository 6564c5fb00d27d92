"""SQS and SNS: every operation and the errors that matter, through boto3 and the AWS CLI."""

import hashlib
import json
import threading
import time
import urllib.request

import botocore.exceptions
import pytest

from millstream import ACCOUNT, REGION, TRUST, Server, until
from test_operator import own_client


@pytest.fixture
def sqs(server):
    return server.client("sqs")


@pytest.fixture
def queue(sqs):
    return sqs.create_queue(QueueName="failed")["QueueUrl"]


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    return error.get("Message", "")


def arn(name, service="sqs"):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"


def attributes(sqs, queue):
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]


def receive(sqs, queue, **more):
    return sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, **more).get("Messages", [])


def bodies(sqs, queue, **more):
    return sorted(message["Body"] for message in receive(sqs, queue, **more))


def test_a_message_goes_through(server, sqs, queue):
    assert queue == f"{server.endpoint}/{ACCOUNT}/failed"
    sent = sqs.send_message(
        QueueUrl=queue,
        MessageBody="körper",
        MessageAttributes={
            "text": {"DataType": "String", "StringValue": "x"},
            "number": {"DataType": "Number.int", "StringValue": "7"},
            "binary": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
        },
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}},
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5("körper".encode()).hexdigest()
    [message] = receive(sqs, queue, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"]["binary"]["BinaryValue"] == b"\0\xff"
    assert message["MessageAttributes"]["number"] == {"DataType": "Number.int", "StringValue": "7"}
    told = message["Attributes"]
    assert told["SenderId"] == ACCOUNT and told["ApproximateReceiveCount"] == "1"
    assert told["AWSTraceHeader"] == "Root=1-2-3"
    assert int(told["SentTimestamp"]) <= int(told["ApproximateFirstReceiveTimestamp"])
    assert attributes(sqs, queue)["ApproximateNumberOfMessagesNotVisible"] == "1"
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    assert attributes(sqs, queue)["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_attributes_are_told_as_asked(sqs, queue):
    given = {name: {"DataType": "String", "StringValue": name} for name in ("a.one", "a.two", "b")}
    sqs.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=given, MessageGroupId="g")
    for names, expected in ([], set()), (["b"], {"b"}), (["a.*", "c"], {"a.one", "a.two"}), ([".*"], set(given)):
        [message] = receive(sqs, queue, MessageAttributeNames=names, VisibilityTimeout=0, AttributeNames=["MessageGroupId"])
        assert set(message.get("MessageAttributes", {})) == expected
        assert message["Attributes"] == {"MessageGroupId": "g"}


def test_visibility(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    [first] = receive(sqs, queue, VisibilityTimeout=1)
    assert receive(sqs, queue) == []
    [second] = receive(sqs, queue, WaitTimeSeconds=5, AttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    # A handle of an earlier receive deletes nothing any more.
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
    [third] = receive(sqs, queue)
    change = {"QueueUrl": queue, "ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 5}
    assert "not available for visibility timeout change" in refused(
        "InvalidParameterValue", sqs.change_message_visibility, **change
    )
    changed = sqs.change_message_visibility_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": "good", "ReceiptHandle": third["ReceiptHandle"], "VisibilityTimeout": 0},
            {"Id": "bad", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
        ],
    )
    assert [entry["Id"] for entry in changed["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"]) for entry in changed["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]
    assert bodies(sqs, queue) == ["x"]


def test_batches(sqs, queue):
    entries = [{"Id": f"e{i}", "MessageBody": f"body {i}"} for i in range(9)] + [{"Id": "bad", "MessageBody": "\x01"}]
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert len(sent["Successful"]) == 9
    assert [(entry["Id"], entry["Code"]) for entry in sent["Failed"]] == [("bad", "InvalidMessageContents")]
    messages = receive(sqs, queue)
    assert sorted(message["Body"] for message in messages) == [f"body {i}" for i in range(9)]
    handles = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
    deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=[*handles, {"Id": "bad", "ReceiptHandle": "garbage"}])
    assert len(deleted["Successful"]) == 9 and deleted["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    assert attributes(sqs, queue)["ApproximateNumberOfMessagesNotVisible"] == "0"
    service = "AWS.SimpleQueueService."
    for code, entries in [
        ("EmptyBatchRequest", []),
        ("TooManyEntriesInBatchRequest", [{"Id": str(i), "MessageBody": "x"} for i in range(11)]),
        ("BatchEntryIdsNotDistinct", [{"Id": "a", "MessageBody": "x"}] * 2),
        ("InvalidBatchEntryId", [{"Id": "a b", "MessageBody": "x"}]),
        ("BatchRequestTooLong", [{"Id": str(i), "MessageBody": "x" * 600_000} for i in range(2)]),
    ]:
        refused(service + code, sqs.send_message_batch, QueueUrl=queue, Entries=entries)


def test_delay(sqs):
    queue = sqs.create_queue(QueueName="later", Attributes={"DelaySeconds": "1"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="default")
    sqs.send_message(QueueUrl=queue, MessageBody="at once", DelaySeconds=0)
    sqs.send_message(QueueUrl=queue, MessageBody="much later", DelaySeconds=900)
    assert bodies(sqs, queue) == ["at once"]
    assert attributes(sqs, queue)["ApproximateNumberOfMessagesDelayed"] in ("1", "2")
    assert bodies(sqs, queue, WaitTimeSeconds=10) == ["default"]


def until_a_request_waits(server):
    """Until a request is being handled beside the one that asks."""
    def waits():
        with urllib.request.urlopen(f"{server.endpoint}/metrics", timeout=5) as answer:
            return "\nmillstream_requests_in_flight 2\n" in answer.read().decode()

    until(waits, what="a waiting request")


def test_a_long_poll_wakes_at_once(server, sqs, queue):
    woken = []

    def wait():
        [message] = receive(server.client("sqs"), queue, WaitTimeSeconds=20)
        woken.append((time.monotonic(), message["Body"]))

    waiting = threading.Thread(target=wait)
    waiting.start()
    until_a_request_waits(server)
    sent = time.monotonic()
    sqs.send_message(QueueUrl=queue, MessageBody="now")
    waiting.join(15)
    [(moment, body)] = woken
    assert body == "now" and moment - sent < 5
    began = time.monotonic()
    assert receive(sqs, queue, WaitTimeSeconds=1) == []
    assert time.monotonic() - began >= 1


def test_stopping_does_not_wait_for_long_polls(tmp_path):
    server = Server(tmp_path).start()
    queue = server.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    waiting = threading.Thread(target=lambda: receive(server.client("sqs"), queue, WaitTimeSeconds=20))
    waiting.start()
    until_a_request_waits(server)
    began = time.monotonic()
    server.stop()
    waiting.join(15)
    assert time.monotonic() - began < 8


def test_a_drain_does_not_wait_for_long_polls(server, sqs, queue):
    received = []
    waiting = threading.Thread(target=lambda: received.extend(receive(server.client("sqs"), queue, WaitTimeSeconds=20)))
    waiting.start()
    until_a_request_waits(server)
    assert own_client(server).drain(TimeoutSeconds=5)["Drained"]
    assert waiting.is_alive()
    sqs.send_message(QueueUrl=queue, MessageBody="on")
    waiting.join(15)
    assert [message["Body"] for message in received] == ["on"]


def test_queues_are_made_found_and_deleted(server, sqs, queue):
    assert sqs.create_queue(QueueName="failed")["QueueUrl"] == queue
    assert sqs.create_queue(QueueName="failed", Attributes={"VisibilityTimeout": "30"})["QueueUrl"] == queue
    message = refused("QueueAlreadyExists", sqs.create_queue, QueueName="failed", Attributes={"VisibilityTimeout": "31"})
    assert "VisibilityTimeout" in message
    with pytest.raises(sqs.exceptions.QueueNameExists):
        sqs.create_queue(QueueName="failed", Attributes={"VisibilityTimeout": "31"})
    assert sqs.get_queue_url(QueueName="failed")["QueueUrl"] == queue
    assert sqs.get_queue_url(QueueName="failed", QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"] == queue
    others = [sqs.create_queue(QueueName=f"other-{i}")["QueueUrl"] for i in range(3)]
    assert sqs.list_queues()["QueueUrls"] == [queue, *others]
    assert sqs.list_queues(QueueNamePrefix="other")["QueueUrls"] == others
    pages = sqs.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 2})
    assert [url for page in pages for url in page["QueueUrls"]] == [queue, *others]
    assert "QueueUrls" not in server.client("sqs", region="eu-central-1").list_queues()
    sqs.send_message(QueueUrl=queue, MessageBody="gone with its queue")
    sqs.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as caught:
        sqs.send_message(QueueUrl=queue, MessageBody="x")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="failed")
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.delete_queue, QueueUrl=queue)
    assert sqs.create_queue(QueueName="failed")["QueueUrl"] == queue
    assert receive(sqs, queue) == []


def test_attributes_and_tags(sqs, queue):
    told = attributes(sqs, queue)
    assert told["QueueArn"] == arn("failed") and told["SqsManagedSseEnabled"] == "false"
    assert told["VisibilityTimeout"] == "30" and told["MessageRetentionPeriod"] == "345600"
    assert told["MaximumMessageSize"] == "1048576" and told["DelaySeconds"] == "0"
    wanted = {"VisibilityTimeout": "5", "MaximumMessageSize": "1024", "ReceiveMessageWaitTimeSeconds": "0"}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=wanted)
    answer = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=list(wanted))["Attributes"]
    assert answer == wanted
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue)
    too_long = {"QueueUrl": queue, "MessageBody": "x" * 1025}
    assert "must be shorter than 1024" in refused("InvalidParameterValue", sqs.send_message, **too_long)
    for code, given in [
        ("InvalidAttributeValue", {"VisibilityTimeout": "43201"}),
        ("InvalidAttributeValue", {"SqsManagedSseEnabled": "true"}),
        ("InvalidAttributeValue", {"KmsMasterKeyId": "alias/aws/sqs"}),
        ("InvalidAttributeValue", {"Policy": "{"}),
        ("InvalidAttributeName", {"Nonsense": "1"}),
    ]:
        refused(code, sqs.set_queue_attributes, QueueUrl=queue, Attributes=given)
        refused(code, sqs.create_queue, QueueName="never", Attributes=given)
    refused("InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=queue, AttributeNames=["Nonsense"])
    refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="never")
    sqs.tag_queue(QueueUrl=queue, Tags={"team": "mill", "stage": "test"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["stage", "nothing"])
    assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"team": "mill"}
    tagged = sqs.create_queue(QueueName="tagged", tags={"a": "b"})["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=tagged)["Tags"] == {"a": "b"}


def test_what_is_refused(sqs, queue):
    refused("AWS.SimpleQueueService.UnsupportedOperation", sqs.create_queue, QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    refused("InvalidAttributeValue", sqs.create_queue, QueueName="q", Attributes={"FifoQueue": "true"})
    refused("InvalidParameterValue", sqs.create_queue, QueueName="a b")
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="")
    refused("InvalidMessageContents", sqs.send_message, QueueUrl=queue, MessageBody="\ufffe")
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x", DelaySeconds=901)
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x", MessageDeduplicationId="d")
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x" * 1_048_577)
    attribute = {"aws.mine": {"DataType": "String", "StringValue": "x"}}
    refused("InvalidParameterValue", sqs.send_message, QueueUrl=queue, MessageBody="x", MessageAttributes=attribute)
    for bad in {"MaxNumberOfMessages": 11}, {"WaitTimeSeconds": 21}, {"VisibilityTimeout": 43201}:
        refused("InvalidParameterValue", sqs.receive_message, QueueUrl=queue, **bad)
    refused("ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=queue, ReceiptHandle="garbage")
    refused("InvalidAddress", sqs.purge_queue, QueueUrl="http://127.0.0.1/queue")
    assert receive(sqs, queue) == []


def test_purge(sqs, queue):
    for i in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=str(i))
    [taken, *_] = receive(sqs, queue, VisibilityTimeout=0)
    sqs.purge_queue(QueueUrl=queue)
    assert receive(sqs, queue) == []
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=taken["ReceiptHandle"])
    sqs.send_message(QueueUrl=queue, MessageBody="after")
    refused("AWS.SimpleQueueService.PurgeQueueInProgress", sqs.purge_queue, QueueUrl=queue)
    assert bodies(sqs, queue) == ["after"]


def test_kill_and_restart_keep_what_was_acknowledged(tmp_path):
    server = Server(tmp_path).start()
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="kept", Attributes={"VisibilityTimeout": "600"}, tags={"a": "b"})["QueueUrl"]
    purged = sqs.create_queue(QueueName="purged")["QueueUrl"]
    dropped = sqs.create_queue(QueueName="dropped")["QueueUrl"]
    for url in purged, dropped:
        for i in range(20):
            sqs.send_message(QueueUrl=url, MessageBody="p" * 5000)
    large = "large " * 10_000
    sent = set()
    for i in range(40):
        body = f"{i} {large if i % 4 == 0 else ''}"
        sqs.send_message(QueueUrl=queue, MessageBody=body)
        sent.add(body)
    taken = []
    for _ in range(2):
        taken += receive(sqs, queue)
    for message in taken[:10]:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    sqs.purge_queue(QueueUrl=purged)
    sqs.delete_queue(QueueUrl=dropped)
    server.kill()
    with server:
        sqs = server.client("sqs")
        counts = attributes(sqs, queue)
        # Ten are deleted, ten in flight.
        assert counts["ApproximateNumberOfMessages"] == str(len(sent) - len(taken))
        assert counts["ApproximateNumberOfMessagesNotVisible"] == str(len(taken) - 10)
        assert sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"a": "b"}
        # Handles from before the crash hold.
        for message in taken[10:]:
            change = {"ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            sqs.change_message_visibility(QueueUrl=queue, **change)
        found = []
        while messages := receive(sqs, queue, AttributeNames=["ApproximateReceiveCount"]):
            found += messages
        assert {message["Body"] for message in found} == sent - {message["Body"] for message in taken[:10]}
        again = {message["Body"] for message in taken[10:]}
        assert {m["Body"] for m in found if m["Attributes"]["ApproximateReceiveCount"] == "2"} == again
        assert receive(sqs, purged) == []
        refused("AWS.SimpleQueueService.NonExistentQueue", sqs.receive_message, QueueUrl=dropped)
        blobs = tmp_path / "data" / "messages"
        kept = [path for path in blobs.rglob("*") if path.is_file()]
        assert 0 < len(kept) <= 11, kept


def test_senders_and_a_kill(tmp_path):
    """Sends from several threads until the server dies: every acknowledged message is there afterwards."""
    server = Server(tmp_path).start()
    queue = server.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    acknowledged, began = [], threading.Barrier(5)

    def send(sender):
        client = server.client("sqs")
        began.wait(10)
        for number in range(10_000):
            try:
                body = f"{sender} {number}"
                client.send_message(QueueUrl=queue, MessageBody=body)
                acknowledged.append(body)
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
                return

    senders = [threading.Thread(target=send, args=(i,)) for i in range(4)]
    for sender in senders:
        sender.start()
    began.wait(10)
    until(lambda: len(acknowledged) > 100, what="a hundred messages acknowledged")
    server.kill()
    for sender in senders:
        sender.join(30)
    with server:
        sqs, found = server.client("sqs"), set()
        while messages := receive(sqs, queue):
            found |= {message["Body"] for message in messages}
        assert set(acknowledged) - found == set()


def test_permissions(server, sqs, queue):
    iam = server.client("iam")
    iam.create_role(RoleName="sender", AssumeRolePolicyDocument=TRUST.replace('"Service": "lambda.amazonaws.com"', '"AWS": "*"'))
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn("failed")}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="sender", PolicyName="p", PolicyDocument=policy)
    session = server.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/sender", RoleSessionName="session")
    keys = session["Credentials"]
    sender = server.client("sqs", key=keys["AccessKeyId"], secret=keys["SecretAccessKey"], token=keys["SessionToken"])
    sender.send_message(QueueUrl=queue, MessageBody="allowed")
    sender.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a", "MessageBody": "too"}])
    message = refused("AccessDenied", sender.receive_message, QueueUrl=queue)
    assert "sqs:ReceiveMessage" in message and arn("failed") in message
    other = sqs.create_queue(QueueName="other")["QueueUrl"]
    refused("AccessDenied", sender.send_message, QueueUrl=other, MessageBody="x")
    allow = {"Effect": "Allow", "Principal": {"AWS": session["AssumedRoleUser"]["Arn"]}, "Action": "SQS:*", "Resource": arn("other")}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=other, Attributes={"Policy": policy})
    assert json.loads(attributes(sqs, other)["Policy"]) == json.loads(policy)
    sender.send_message(QueueUrl=other, MessageBody="by the queue's policy")
    [message] = receive(sqs, other, AttributeNames=["SenderId"])
    assert message["Attributes"]["SenderId"].endswith(":session")
    sqs.set_queue_attributes(QueueUrl=other, Attributes={"Policy": ""})
    assert "Policy" not in attributes(sqs, other)


def test_the_cli(server):
    # Version 1 of the CLI has an address of its own for SQS in each region, which only the option overrides.
    url = json.loads(server.shell("aws sqs --endpoint-url $AWS_ENDPOINT_URL create-queue --queue-name cli").stdout)["QueueUrl"]
    server.shell(f"aws sqs --endpoint-url $AWS_ENDPOINT_URL send-message --queue-url {url} --message-body hello")
    received = json.loads(server.shell(f"aws sqs --endpoint-url $AWS_ENDPOINT_URL receive-message --queue-url {url} --wait-time-seconds 2").stdout)
    [message] = received["Messages"]
    assert message["Body"] == "hello"
    server.shell(f"aws sqs --endpoint-url $AWS_ENDPOINT_URL delete-message --queue-url {url} --receipt-handle '{message['ReceiptHandle']}'")
    missing = server.shell("aws sqs --endpoint-url $AWS_ENDPOINT_URL get-queue-url --queue-name nothing", check=False)
    assert "AWS.SimpleQueueService.NonExistentQueue" in missing.stderr


@pytest.fixture
def sns(server):
    return server.client("sns")


def let_in(sqs, url, topic_arn):
    """Lets a topic send to a queue, as at AWS."""
    queue_arn = attributes(sqs, url)["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return queue_arn


def test_topics_fan_out(server, sqs, sns):
    topic = sns.create_topic(Name="failed")["TopicArn"]
    assert topic == arn("failed", "sns")
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("enveloped", "raw", "closed")}
    let_in(sqs, urls["enveloped"], topic)
    let_in(sqs, urls["raw"], topic)
    let_in(sqs, urls["closed"], arn("another", "sns"))
    subscribed = {}
    for name in urls:
        raw = {"RawMessageDelivery": "true"} if name == "raw" else {}
        subscribed[name] = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(name), Attributes=raw)["SubscriptionArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("missing"))
    given = {"kind": {"DataType": "String", "StringValue": "x"}, "data": {"DataType": "Binary", "BinaryValue": b"\0\1"}}
    published = sns.publish(TopicArn=topic, Message="größe", Subject="subject", MessageAttributes=given)
    [enveloped] = receive(sqs, urls["enveloped"], MessageAttributeNames=["All"])
    assert "MessageAttributes" not in enveloped
    told = json.loads(enveloped["Body"])
    assert told.pop("Timestamp").endswith("Z")
    assert told.pop("UnsubscribeURL") == (
        f"{server.endpoint}/?Action=Unsubscribe&SubscriptionArn={subscribed['enveloped']}"
    )
    assert told == {
        "Type": "Notification",
        "MessageId": published["MessageId"],
        "TopicArn": topic,
        "Subject": "subject",
        "Message": "größe",
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertURL": "",
        "MessageAttributes": {"kind": {"Type": "String", "Value": "x"}, "data": {"Type": "Binary", "Value": "AAE="}},
    }
    [raw] = receive(sqs, urls["raw"], MessageAttributeNames=["All"])
    assert raw["Body"] == "größe" and raw["MessageAttributes"]["data"]["BinaryValue"] == b"\0\1"
    assert receive(sqs, urls["closed"]) == []
    assert "does not let sns.amazonaws.com" in server.log.read_text()
    # What is set takes effect at once.
    sns.set_subscription_attributes(
        SubscriptionArn=subscribed["enveloped"], AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    sns.unsubscribe(SubscriptionArn=subscribed["raw"])
    sns.unsubscribe(SubscriptionArn=subscribed["raw"])
    entries = [
        {"Id": "a", "Message": "one"},
        {"Id": "b", "Message": json.dumps({"default": "no", "sqs": "two"}), "MessageStructure": "json"},
        {"Id": "bad", "Message": "x", "Subject": "two\nlines"},
    ]
    batch = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [entry["Id"] for entry in batch["Successful"]] == ["a", "b"]
    assert [(entry["Id"], entry["Code"]) for entry in batch["Failed"]] == [("bad", "InvalidParameter")]
    assert bodies(sqs, urls["enveloped"]) == ["one", "two"]
    assert receive(sqs, urls["raw"]) == []


def test_topics_and_subscriptions(sns):
    topic = sns.create_topic(Name="t", Attributes={"DisplayName": "d"}, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
    assert sns.create_topic(Name="t")["TopicArn"] == topic
    refused("InvalidParameter", sns.create_topic, Name="t", Attributes={"DisplayName": "other"})
    refused("InvalidParameter", sns.create_topic, Name="t", Tags=[{"Key": "c", "Value": "d"}])
    told = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert told["DisplayName"] == "d" and told["TopicArn"] == topic and told["Owner"] == ACCOUNT
    assert json.loads(told["Policy"])["Statement"][0]["Resource"] == topic
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="e")
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": topic}]}
    )
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    told = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert told["DisplayName"] == "e" and told["Policy"] == policy
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("q"))["SubscriptionArn"]
    assert sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("q"))["SubscriptionArn"] == subscription
    told = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert told["RawMessageDelivery"] == "false" and told["PendingConfirmation"] == "false"
    assert told["Endpoint"] == arn("q") and told["Protocol"] == "sqs" and told["TopicArn"] == topic
    listed = [
        {"SubscriptionArn": subscription, "Owner": ACCOUNT, "Protocol": "sqs", "Endpoint": arn("q"), "TopicArn": topic}
    ]
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == listed
    assert sns.list_subscriptions()["Subscriptions"] == listed
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsConfirmed"] == "1"
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "c", "Value": "d"}])
    sns.untag_resource(ResourceArn=topic, TagKeys=["a"])
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "c", "Value": "d"}]
    for i in range(101):
        sns.create_topic(Name=f"t{i}")
    pages = sns.get_paginator("list_topics").paginate()
    assert len([topic for page in pages for topic in page["Topics"]]) == 102
    sns.delete_topic(TopicArn=topic)
    sns.delete_topic(TopicArn=topic)
    refused("NotFound", sns.get_topic_attributes, TopicArn=topic)
    refused("NotFound", sns.get_subscription_attributes, SubscriptionArn=subscription)
    assert sns.list_subscriptions()["Subscriptions"] == []


def test_what_topics_refuse(sns):
    topic = sns.create_topic(Name="t")["TopicArn"]
    refused("InvalidParameter", sns.create_topic, Name="t.fifo", Attributes={"FifoTopic": "true"})
    refused("InvalidParameter", sns.create_topic, Name="a b")
    refused("InvalidParameter", sns.create_topic, Name="u", Attributes={"KmsMasterKeyId": "alias/aws/sns"})
    refused("NotFound", sns.publish, TopicArn=arn("missing", "sns"), Message="x")
    refused("InvalidParameter", sns.publish, TopicArn=topic, Message="x" * 262_145)
    refused("InvalidParameter", sns.publish, TopicArn=topic, Message="")
    refused("InvalidParameter", sns.publish, PhoneNumber="+12065550100", Message="x")
    refused("InvalidParameter", sns.publish, TopicArn=topic, Message="{}", MessageStructure="json")
    attribute = {"a": {"DataType": "Nonsense", "StringValue": "x"}}
    refused("ParameterValueInvalid", sns.publish, TopicArn=topic, Message="x", MessageAttributes=attribute)
    assert "only sqs" in refused(
        "InvalidParameter", sns.subscribe, TopicArn=topic, Protocol="email", Endpoint="someone@example.com"
    )
    refused("InvalidParameter", sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=arn("q.fifo"))
    refused("InvalidParameter", sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint="http://example.com")
    refused("NotFound", sns.subscribe, TopicArn=arn("missing", "sns"), Protocol="sqs", Endpoint=arn("q"))
    filtered = {"FilterPolicy": json.dumps({"kind": ["x"]})}
    refused("InvalidParameter", sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=arn("q"), Attributes=filtered)
    for code, entries in [
        ("EmptyBatchRequest", []),
        ("TooManyEntriesInBatchRequest", [{"Id": str(i), "Message": "x"} for i in range(11)]),
        ("BatchEntryIdsNotDistinct", [{"Id": "a", "Message": "x"}] * 2),
        ("InvalidBatchEntryId", [{"Id": "a b", "Message": "x"}]),
        ("BatchRequestTooLong", [{"Id": str(i), "Message": "x" * 150_000} for i in range(2)]),
    ]:
        refused(code, sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries)
    refused("ResourceNotFound", sns.list_tags_for_resource, ResourceArn=arn("missing", "sns"))


def test_topics_survive_a_kill(tmp_path):
    server = Server(tmp_path).start()
    sqs, sns = server.client("sqs"), server.client("sns")
    topic = sns.create_topic(Name="t")["TopicArn"]
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=let_in(sqs, url, topic))["SubscriptionArn"]
    sns.publish(TopicArn=topic, Message="kept")
    server.kill()
    with server:
        sqs, sns = server.client("sqs"), server.client("sns")
        [message] = receive(sqs, url)
        assert json.loads(message["Body"])["Message"] == "kept"
        assert sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"] == subscription


def test_topics_by_the_cli(server):
    topic = json.loads(server.shell("aws sns create-topic --name cli").stdout)["TopicArn"]
    server.shell(f"aws sns publish --topic-arn {topic} --message hello")
    assert topic in server.shell("aws sns list-topics").stdout
    missing = server.shell(f"aws sns get-topic-attributes --topic-arn {topic}-missing", check=False)
    assert "NotFound" in missing.stderr
