"""Millstream's own operations as a boto3 client: `clock_client().advance_clock(Seconds=60)`."""

import os
import pathlib

import boto3
import botocore.config

# Where `millstream/2026-11-25/service-2.json` lies: in Millstream's repository, or wherever you have copied it to.
MODELS = os.environ.get("MILLSTREAM_MODELS", pathlib.Path(__file__).parents[3] / "xtask" / "codegen")


def clock_client(**settings):
    """Takes what `boto3.client` takes, such as `endpoint_url`."""
    session = boto3.session.Session()
    session._loader.search_paths.append(str(MODELS))
    # A call may take as long as its TimeoutSeconds, and must not be made twice.
    config = botocore.config.Config(read_timeout=120, retries={"max_attempts": 0})
    return session.client("millstream", config=config, **settings)
