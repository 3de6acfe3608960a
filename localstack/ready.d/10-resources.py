"""Makes the topics, queues and subscriptions that the services use by default.

LocalStack runs this inside its own process each time it starts, since it keeps nothing over a restart. Every call may
be repeated, and is of the AWS API alone, so that another emulator could take LocalStack's place.
"""

import json
import os

import boto3
from botocore.config import Config

MAX_RECEIVES = "5"
VISIBILITY_TIMEOUT = "30"
# The longest there is: a dead letter's time runs from when it was first sent, and somebody has to find it.
DEAD_LETTERS = {"MessageRetentionPeriod": str(14 * 24 * 60 * 60)}

# LocalStack's own address, from the setting it was started with: "127.0.0.1:4566", "0.0.0.0:4566,0.0.0.0:443", ":4566".
port = os.environ.get("GATEWAY_LISTEN", "").split(",")[0].rpartition(":")[2]
aws = boto3.Session(
    aws_access_key_id="test",
    aws_secret_access_key="test",
    region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
)
endpoint = {
    "endpoint_url": f"http://127.0.0.1:{port if port.isdigit() else 4566}",
    "config": Config(proxies={}),
}
sns = aws.client("sns", **endpoint)
sqs = aws.client("sqs", **endpoint)


def make_topic(name: str) -> str:
    """Makes the topic unless it is there, and gives its ARN."""
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "true"} if name.endswith(".fifo") else {}
    return sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]


def make_queue(name: str, attributes: dict[str, str]) -> str:
    """Makes the queue unless it is there, gives it these attributes either way, and gives its ARN."""
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    if attributes:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def make_subscribed_queue(topic: str, queue: str, dead_letter_queue: str, *, raw: bool) -> None:
    """Makes all three, and delivers the topic's messages to the queue: as they are (raw), or in SNS's JSON envelope."""
    topic_arn = make_topic(topic)
    redrive = {"deadLetterTargetArn": make_queue(dead_letter_queue, DEAD_LETTERS), "maxReceiveCount": MAX_RECEIVES}
    allow_topic = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        },
    }
    queue_arn = make_queue(
        queue,
        {
            "VisibilityTimeout": VISIBILITY_TIMEOUT,
            "RedrivePolicy": json.dumps(redrive),
            "Policy": json.dumps(allow_topic),
        },
    )
    sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=queue_arn,
        Attributes={"RawMessageDelivery": str(raw).lower()},
    )


make_subscribed_queue("messages", "messages", "messages-dlq", raw=True)
make_subscribed_queue("messages.fifo", "messages.fifo", "messages-dlq.fifo", raw=True)
# For tests: the same messages in SNS's envelope, which a consumer has to take as well.
make_subscribed_queue("messages", "messages-enveloped", "messages-enveloped-dlq", raw=False)
