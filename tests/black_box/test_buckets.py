"""Buckets and objects through real clients: boto3 and the AWS CLI, over kill -9, and by hand where clients hide the wire."""

import base64
import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest

from millstream import ACCOUNT, REGION, Server, until

MIB = 1024 * 1024


def code(error):
    return error.value.response["Error"]["Code"]


def refused(expected, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert code(error) == expected, error.value.response
    return error.value.response


@pytest.fixture
def s3(server):
    client = server.client("s3")
    client.create_bucket(Bucket="mill", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def test_an_object_comes_back_as_it_was_put(s3):
    body = os.urandom(100_000)
    put = s3.put_object(
        Bucket="mill", Key="a/ä +%.bin", Body=body, ContentType="text/x-mill", CacheControl="no-cache",
        Metadata={"Grain": "rye"},
    )
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    assert put["ETag"] == etag and put["ChecksumCRC32"] == crc
    assert len(put["ResponseMetadata"]["RequestId"]) > 10
    got = s3.get_object(Bucket="mill", Key="a/ä +%.bin", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert got["ContentType"] == "text/x-mill" and got["CacheControl"] == "no-cache"
    assert got["Metadata"] == {"grain": "rye"} and got["ETag"] == etag
    assert got["ChecksumCRC32"] == crc and got["ContentLength"] == len(body)
    head = s3.head_object(Bucket="mill", Key="a/ä +%.bin")
    assert head["ContentLength"] == len(body) and head["ETag"] == etag
    part = s3.get_object(Bucket="mill", Key="a/ä +%.bin", Range="bytes=10-19")
    assert part["Body"].read() == body[10:20] and part["ContentRange"] == "bytes 10-19/100000"
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.get_object(Bucket="mill", Key="a/ä +%.bin", Range="bytes=-5")["Body"].read() == body[-5:]
    refused("InvalidRange", s3.get_object, Bucket="mill", Key="a/ä +%.bin", Range="bytes=100000-")
    s3.put_object(Bucket="mill", Key="empty", Body=b"")
    assert s3.get_object(Bucket="mill", Key="empty")["Body"].read() == b""


def test_conditions(s3):
    etag = s3.put_object(Bucket="mill", Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", s3.put_object, Bucket="mill", Key="k", Body=b"two", IfNoneMatch="*")
    refused("304", s3.get_object, Bucket="mill", Key="k", IfNoneMatch=etag)
    refused("PreconditionFailed", s3.get_object, Bucket="mill", Key="k", IfMatch='"other"')
    assert s3.get_object(Bucket="mill", Key="k", IfMatch=etag)["Body"].read() == b"one"
    refused("PreconditionFailed", s3.put_object, Bucket="mill", Key="k", Body=b"two", IfMatch='"other"')
    s3.put_object(Bucket="mill", Key="k", Body=b"two", IfMatch=etag)
    assert s3.get_object(Bucket="mill", Key="k")["Body"].read() == b"two"


def test_buckets_live_by_their_rules(server, s3):
    refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket="mill", CreateBucketConfiguration={"LocationConstraint": REGION})
    other = server.client("s3", key="210987654321")
    refused("BucketAlreadyExists", other.create_bucket, Bucket="mill", CreateBucketConfiguration={"LocationConstraint": REGION})
    refused("AccessDenied", other.list_objects_v2, Bucket="mill")
    refused("403", other.head_bucket, Bucket="mill")
    assert other.list_buckets()["Buckets"] == []
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["mill"]
    assert s3.get_bucket_location(Bucket="mill")["LocationConstraint"] == REGION
    assert s3.head_bucket(Bucket="mill")["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == REGION
    refused("404", s3.head_bucket, Bucket="unknown")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket="unknown")
    refused("NoSuchBucket", s3.put_object, Bucket="unknown", Key="k", Body=b"")
    refused("InvalidBucketName", s3.create_bucket, Bucket="192.168.0.1")
    s3.put_object(Bucket="mill", Key="k", Body=b"x")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket="mill")
    refused("NoSuchKey", s3.get_object, Bucket="mill", Key="unknown")
    s3.delete_object(Bucket="mill", Key="k")
    s3.delete_object(Bucket="mill", Key="k")
    s3.delete_bucket(Bucket="mill")
    refused("NoSuchBucket", s3.delete_bucket, Bucket="mill")
    east = server.client("s3", region="us-east-1")
    east.create_bucket(Bucket="east")
    east.create_bucket(Bucket="east")
    assert east.get_bucket_location(Bucket="east")["LocationConstraint"] is None


def test_lists_are_in_order_and_in_pages(s3):
    keys = ["a", "a/1", "a/2", "a/b/3", "b", "é", "z z", "\U0001F33E", "\uffee"]
    for key in reversed(keys):
        s3.put_object(Bucket="mill", Key=key, Body=key.encode())
    in_order = sorted(keys, key=lambda key: key.encode())
    listed = s3.list_objects_v2(Bucket="mill")
    assert [line["Key"] for line in listed["Contents"]] == in_order
    assert listed["KeyCount"] == len(keys) and not listed["IsTruncated"]
    assert listed["Contents"][0]["Size"] == 1
    for operation, name in [("list_objects_v2", "v2"), ("list_objects", "v1")]:
        pages = s3.get_paginator(operation).paginate(Bucket="mill", PaginationConfig={"PageSize": 2})
        assert [line["Key"] for page in pages for line in page["Contents"]] == in_order, name
        pages = s3.get_paginator(operation).paginate(Bucket="mill", Delimiter="/", PaginationConfig={"PageSize": 1})
        lines = [
            line.get("Key") or line["Prefix"]
            for page in pages for line in page.get("Contents", []) + page.get("CommonPrefixes", [])
        ]
        assert lines == ["a", "a/", *in_order[4:]], name
    inside = s3.list_objects_v2(Bucket="mill", Prefix="a/", Delimiter="/")
    assert [line["Key"] for line in inside["Contents"]] == ["a/1", "a/2"]
    assert [line["Prefix"] for line in inside["CommonPrefixes"]] == ["a/b/"]
    after = s3.list_objects_v2(Bucket="mill", StartAfter="a/b/3")
    assert [line["Key"] for line in after["Contents"]] == in_order[4:]
    assert s3.list_objects_v2(Bucket="mill", MaxKeys=0)["KeyCount"] == 0
    deleted = s3.delete_objects(Bucket="mill", Delete={"Objects": [{"Key": key} for key in keys] + [{"Key": "no"}]})
    assert len(deleted["Deleted"]) == len(keys) + 1 and "Errors" not in deleted
    assert "Contents" not in s3.list_objects_v2(Bucket="mill")


def test_copies_and_refusals(s3):
    s3.put_object(Bucket="mill", Key="from", Body=b"grain", Metadata={"a": "1"})
    copied = s3.copy_object(Bucket="mill", Key="to", CopySource={"Bucket": "mill", "Key": "from"})
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"grain").hexdigest()}"'
    assert s3.head_object(Bucket="mill", Key="to")["Metadata"] == {"a": "1"}
    refused("InvalidRequest", s3.copy_object, Bucket="mill", Key="to", CopySource={"Bucket": "mill", "Key": "to"})
    refused("NotImplemented", s3.put_object, Bucket="mill", Key="k", Body=b"", Tagging="a=b")
    refused("NotImplemented", s3.put_object, Bucket="mill", Key="k", Body=b"", ServerSideEncryption="AES256")
    refused("AccessControlListNotSupported", s3.put_object, Bucket="mill", Key="k", Body=b"", ACL="public-read")
    refused("NotImplemented", s3.put_bucket_versioning, Bucket="mill", VersioningConfiguration={"Status": "Enabled"})
    refused("NotImplemented", s3.get_object_acl, Bucket="mill", Key="from")
    refused("NotImplemented", s3.list_object_versions, Bucket="mill")
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket="mill")
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket="mill")
    refused("ServerSideEncryptionConfigurationNotFoundError", s3.get_bucket_encryption, Bucket="mill")
    assert "Status" not in s3.get_bucket_versioning(Bucket="mill")
    refused("BadDigest", s3.put_object, Bucket="mill", Key="k", Body=b"x", ContentMD5=base64.b64encode(bytes(16)).decode())
    refused("BadDigest", s3.put_object, Bucket="mill", Key="k", Body=b"x", ChecksumSHA256=base64.b64encode(bytes(32)).decode())
    refused("404", s3.head_object, Bucket="mill", Key="k")
    refused("EntityTooLarge", s3.put_object, Bucket="mill", Key="k", Body=bytes(64 * MIB + 1))


def test_the_cli_copies_lists_and_removes(server, s3):
    (server.folder / "small").write_bytes(b"small")
    large = os.urandom(20 * MIB)
    (server.folder / "large").write_bytes(large)
    server.shell("aws s3 mb s3://second && aws s3 cp small s3://second/dir/small && aws s3 cp large s3://second/dir/large")
    listing = server.shell("aws s3 ls s3://second/dir/").stdout
    assert "5 small" in listing and f"{20 * MIB} large" in listing
    server.shell("aws s3 cp s3://second/dir/large back")
    assert (server.folder / "back").read_bytes() == large
    head = json.loads(server.shell("aws s3api head-object --bucket second --key dir/large").stdout)
    assert head["ETag"].endswith('-3"')
    server.shell("aws s3 sync s3://second/dir copy && cmp copy/small small && cmp copy/large large")
    assert "BucketNotEmpty" in server.shell("aws s3 rb s3://second", check=False).stderr
    server.shell("aws s3 rm --recursive s3://second && aws s3 rb s3://second")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["mill"]


def test_parts(s3):
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), b"the end"]
    upload = s3.create_multipart_upload(Bucket="mill", Key="k", Metadata={"a": "b"})["UploadId"]
    names = {"Bucket": "mill", "Key": "k", "UploadId": upload}
    s3.upload_part(**names, PartNumber=2, Body=b"replaced")
    tags = [s3.upload_part(**names, PartNumber=n + 1, Body=part)["ETag"] for n, part in enumerate(parts)]
    assert [part["PartNumber"] for part in s3.list_parts(**names)["Parts"]] == [1, 2, 3]
    assert [line["UploadId"] for line in s3.list_multipart_uploads(Bucket="mill")["Uploads"]] == [upload]
    done = [{"PartNumber": n + 1, "ETag": tag} for n, tag in enumerate(tags)]
    refused("InvalidPartOrder", s3.complete_multipart_upload, **names, MultipartUpload={"Parts": done[::-1]})
    refused("InvalidPart", s3.complete_multipart_upload, **names, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]})
    refused("EntityTooSmall", s3.complete_multipart_upload, **names, MultipartUpload={"Parts": [
        {"PartNumber": 3, "ETag": tags[2]}, {"PartNumber": 4, "ETag": s3.upload_part(**names, PartNumber=4, Body=b"x")["ETag"]}]})
    completed = s3.complete_multipart_upload(**names, MultipartUpload={"Parts": done})
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert completed["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    whole = b"".join(parts)
    got = s3.get_object(Bucket="mill", Key="k")
    assert got["Body"].read() == whole and got["Metadata"] == {"a": "b"}
    across = s3.get_object(Bucket="mill", Key="k", Range=f"bytes={5 * MIB - 3}-{5 * MIB + 2}")
    assert across["Body"].read() == whole[5 * MIB - 3:5 * MIB + 3]
    refused("NoSuchUpload", s3.list_parts, **names)
    names["UploadId"] = s3.create_multipart_upload(Bucket="mill", Key="k")["UploadId"]
    s3.upload_part(**names, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(**names)
    refused("NoSuchUpload", s3.upload_part, **names, PartNumber=1, Body=b"x")
    assert s3.get_object(Bucket="mill", Key="k")["Body"].read() == whole


def test_objects_survive_kill_9(tmp_path):
    with Server(tmp_path) as server:
        s3 = server.client("s3")
        s3.create_bucket(Bucket="mill", CreateBucketConfiguration={"LocationConstraint": REGION})
        bodies = {f"k{n}": os.urandom(n * 1000) for n in range(40)}
        for key, body in bodies.items():
            s3.put_object(Bucket="mill", Key=key, Body=b"an earlier one")
            s3.put_object(Bucket="mill", Key=key, Body=body)
        upload = s3.create_multipart_upload(Bucket="mill", Key="parts")["UploadId"]
        tag = s3.upload_part(Bucket="mill", Key="parts", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
        blobs = lambda: sum(len(files) for _, _, files in os.walk(tmp_path / "data" / "objects"))
        kept = blobs()
        assert kept == len(bodies) - 1 + 1, "replaced contents are gone, the empty one has none"
        orphan = tmp_path / "data" / "objects" / "ab"
        orphan.mkdir(exist_ok=True)
        (orphan / ("ab" * 32)).write_bytes(b"nobody's")
        server.kill()
        server.start()
        s3.complete_multipart_upload(
            Bucket="mill", Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]}
        )
        bodies["parts"] = b"part"
        assert len(s3.list_objects_v2(Bucket="mill")["Contents"]) == len(bodies)
        for key, body in bodies.items():
            assert s3.get_object(Bucket="mill", Key=key)["Body"].read() == body, key
        until(lambda: blobs() == kept, what="the content without an object is removed")


def signed_request(server, credentials, method, path, headers, body, host=None):
    """Sends a request as it is, signed."""
    host = host or f"127.0.0.1:{server.port}"
    request = botocore.awsrequest.AWSRequest(method=method, url=f"http://{host}{path}", data=body, headers=headers)
    botocore.auth.S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, path, body=body, headers={**dict(request.headers), "Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_virtual_hosts_name_the_bucket(server, s3):
    credentials = botocore.credentials.Credentials(ACCOUNT, "secret")
    host = f"mill.s3.localhost:{server.port}"
    status, _, _ = signed_request(server, credentials, "PUT", "/a%20b/c", {}, b"hello", host)
    assert status == 200
    assert s3.get_object(Bucket="mill", Key="a b/c")["Body"].read() == b"hello"
    status, body, _ = signed_request(server, credentials, "GET", "/?list-type=2", {}, b"", f"mill.localhost:{server.port}")
    assert status == 200 and b"<Key>a b/c</Key>" in body
    status, _, _ = signed_request(server, credentials, "GET", "/", {}, b"", f"mill.example.com:{server.port}")
    assert status == 403


def test_presigned_links_work(server, s3):
    signer = server.client("s3", signature_version="s3v4")
    link = signer.generate_presigned_url("put_object", Params={"Bucket": "mill", "Key": "k"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(link, data=b"linked", method="PUT"), timeout=20)
    link = signer.generate_presigned_url("get_object", Params={"Bucket": "mill", "Key": "k", "ResponseContentType": "x/y"})
    with urllib.request.urlopen(link, timeout=20) as answer:
        assert answer.read() == b"linked" and answer.headers["content-type"] == "x/y"
    # Other SDKs move headers into the query when they presign.
    link = signer.generate_presigned_url("put_object", Params={"Bucket": "mill", "Key": "k"}, ExpiresIn=60)
    link += "&x-amz-meta-grain=rye"
    urllib.request.urlopen(urllib.request.Request(link, data=b"linked", method="PUT"), timeout=20)
    assert s3.head_object(Bucket="mill", Key="k")["Metadata"] == {"grain": "rye"}
    link += "&x-amz-server-side-encryption=AES256"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(link, data=b"x", method="PUT"), timeout=20)
    assert error.value.code == 501
    old = f"{server.endpoint}/mill/k?AWSAccessKeyId=A&Signature=b&Expires=1"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(old, timeout=20)
    assert error.value.code == 400 and b"AWS4-HMAC-SHA256" in error.value.read()


def role_credentials(server, policy):
    iam = server.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName="limited", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
    keys = server.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    return keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]


def test_issued_keys_are_verified_and_limited(server, s3):
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::mill/in/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::mill/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::mill", "Condition": {"StringLike": {"s3:prefix": "in/*"}}},
    ]}
    key, secret, token = role_credentials(server, policy)
    mine = server.client("s3", key=key, secret=secret, token=token)
    mine.put_object(Bucket="mill", Key="in/a b//c'(*)!", Body=b"x" * 9000)
    assert mine.get_object(Bucket="mill", Key="in/a b//c'(*)!")["Body"].read() == b"x" * 9000
    refused("AccessDenied", mine.put_object, Bucket="mill", Key="out", Body=b"x")
    refused("AccessDenied", mine.list_objects_v2, Bucket="mill")
    assert mine.list_objects_v2(Bucket="mill", Prefix="in/")["KeyCount"] == 1
    # Whether there is one is not told to those who may not list.
    refused("AccessDenied", mine.get_object, Bucket="mill", Key="unknown")
    assert mine.delete_objects(Bucket="mill", Delete={"Objects": [{"Key": "in/x"}]})["Errors"][0]["Code"] == "AccessDenied"
    wrong = server.client("s3", key=key, secret="wrong", token=token)
    refused("SignatureDoesNotMatch", wrong.put_object, Bucket="mill", Key="in/b", Body=b"x")
    refused("403", wrong.head_object, Bucket="mill", Key="in/b")

    credentials = botocore.credentials.Credentials(key, secret, token)
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "11",
        "x-amz-trailer": "x-amz-checksum-crc32", "content-encoding": "aws-chunked",
    }

    class Chunked(botocore.auth.S3SigV4Auth):
        def payload(self, request):
            return headers["x-amz-content-sha256"]

    def send(body, headers=headers):
        request = botocore.awsrequest.AWSRequest(
            method="PUT", url=f"{server.endpoint}/mill/in/chunked", data=body, headers=headers)
        Chunked(credentials, "s3", REGION).add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("PUT", "/mill/in/chunked", body=body, headers=dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert send(chunks)[0] == 200
    assert mine.get_object(Bucket="mill", Key="in/chunked")["Body"].read() == b"hello world"
    assert "ContentEncoding" not in mine.head_object(Bucket="mill", Key="in/chunked")
    assert b"BadDigest" in send(chunks.replace(b" world", b" earth"))[1]
    assert b"IncompleteBody" in send(chunks.split(b"0\r\n")[0])[1]


def test_streams_of_unknown_length_are_uploaded(s3):
    class Stream:
        def __init__(self):
            self.left = [b"hello ", b"world"]

        def read(self, _size=-1):
            return self.left.pop(0) if self.left else b""

    s3.upload_fileobj(Stream(), "mill", "streamed")
    assert s3.get_object(Bucket="mill", Key="streamed")["Body"].read() == b"hello world"
