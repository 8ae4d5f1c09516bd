"""The whole of it: an upload runs through, nothing is lost in a race, and nothing is left behind."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sqs.models import sqs_backends

from assay_local import application
from assay_local.cloud import Cloud, FunctionError

Variant = Callable[..., Path]


def run(template: Path, **options: Any) -> Cloud:
    return Cloud(template, schedules=False, programs={"double": "double"}, **options)


def test_an_upload_s_verdict_reaches_the_subscriber_by_events_alone(variant: Variant) -> None:
    began = time.monotonic()
    with run(variant()) as cloud:
        assert time.monotonic() - began < 4
        bucket = cloud.outputs["BucketName"]
        cloud.client("s3").put_object(Bucket=bucket, Key="models/one/model.tar.gz", Body=b"fail")
        cloud.drain(timeout=30)
        assert cloud.idle()
        (notice,) = cloud.notices()
        assert (notice.subject, notice.message) == ("tiny-one Failed", "done")
        assert notice.attributes == {"status": "Failed"}
        assert notice.topic == cloud.outputs["TopicArn"]
        assert cloud.notices() == [notice]
        assert {call.caller.name for call in cloud.calls} == {"StartFunction", "tiny-one", "FinishFunction"}


def test_draining_says_what_still_moves(variant: Variant) -> None:
    with run(variant()) as cloud:
        bucket = cloud.outputs["BucketName"]
        cloud.client("s3").put_object(Bucket=bucket, Key="models/slow/model.tar.gz", Body=b"sleep")
        until_job_prints(cloud, "pids")
        while cloud.waiting() != "jobs tiny-slow":  # the function that started it has yet to return
            time.sleep(0.05)
        with pytest.raises(TimeoutError, match=r"not done after 0.2 s: jobs tiny-slow"):
            cloud.drain(timeout=0.2)


def until_job_prints(cloud: Cloud, text: str) -> None:
    deadline = time.monotonic() + 20
    while not (cloud.jobs() and text in cloud.jobs()[0].log):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_is_left_behind(variant: Variant) -> None:
    threads = threading.active_count()
    with run(variant()) as cloud:
        folder = cloud.folder
        bucket = cloud.outputs["BucketName"]
        cloud.client("s3").put_object(Bucket=bucket, Key="models/slow/model.tar.gz", Body=b"sleep")
        until_job_prints(cloud, "pids")
        pids = [int(pid) for pid in cloud.jobs()[0].log.split("pids ")[1].split()]
        pids.append(cloud.invoke("ProbeFunction", {"do": "tell", "modules": []})["pid"])
        busy = threading.Thread(target=sleep_until_ended, args=(cloud,))
        busy.start()
        leaving = time.monotonic()
    assert time.monotonic() - leaving < 3
    busy.join(timeout=5)
    assert not folder.exists()
    assert [pid for pid in pids if alive(pid)] == []
    assert threading.active_count() == threads


def sleep_until_ended(cloud: Cloud) -> None:
    with pytest.raises(FunctionError):
        cloud.invoke("ProbeFunction", {"do": "sleep"})


def alive(pid: int) -> bool:
    """Whether a process still runs after ten seconds; one that has ended and that nobody waited for does not."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        if has_ended(pid):
            return False
        time.sleep(0.05)
    return True


def has_ended(pid: int) -> bool:
    """An orphan stays in the process table until its new parent looks, and a container's first process may never."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:  # not Linux, or gone meanwhile
        return False


KILLED = """
import os, sys, time
from pathlib import Path
from assay_local.cloud import Cloud
with Cloud(Path(sys.argv[1]), schedules=False, programs={"double": "double"}) as cloud:
    bucket = cloud.outputs["BucketName"]
    cloud.client("s3").put_object(Bucket=bucket, Key="models/slow/model.tar.gz", Body=b"sleep")
    worker = cloud.invoke("ProbeFunction", {"do": "tell", "modules": []})["pid"]
    while not (cloud.jobs() and "pids" in cloud.jobs()[0].log):
        time.sleep(0.05)
    print(worker, *cloud.jobs()[0].log.split("pids ")[1].split(), flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_cloud_that_is_killed_takes_its_processes_along(variant: Variant, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", KILLED, str(variant())]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert killed.returncode == -9, killed.stderr
    pids = [int(pid) for pid in killed.stdout.split()]
    assert len(pids) == 3
    assert [pid for pid in pids if alive(pid)] == []


def test_the_user_s_own_aws_configuration_plays_no_part(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "config"
    own.write_text("[default]\nendpoint_url = http://127.0.0.1:1\nmax_attempts = 50\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(own))
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with run(variant()) as cloud:
        cloud.client("s3").put_object(Bucket=cloud.outputs["BucketName"], Key="models/own/model.tar.gz", Body=b"x")
        cloud.drain(timeout=30)
        assert [notice.subject for notice in cloud.notices()] == ["tiny-own Completed"]


def test_there_is_one_a_process(variant: Variant) -> None:
    template = variant()
    with run(template), pytest.raises(RuntimeError, match="only one at a time"):
        run(template).__enter__()


def test_the_next_cloud_knows_nothing_of_the_last(variant: Variant) -> None:
    template = variant()
    with run(template) as cloud:
        cloud.client("s3").put_object(Bucket=cloud.outputs["BucketName"], Key="x", Body=b"")
    with run(template) as cloud:
        assert "Contents" not in cloud.client("s3").list_objects_v2(Bucket=cloud.outputs["BucketName"])
        assert cloud.events == []


def test_a_bucket_of_the_deployer_is_there_before_the_stack(variant: Variant) -> None:
    with run(variant(), buckets=("mine",)) as cloud:
        cloud.client("s3").put_object(Bucket="mine", Key="x", Body=b"")
        assert cloud.events[-1]["detail"]["bucket"]["name"] == "mine"


def test_schedules_fire_on_their_rate(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay_local.stack.UNITS", {"minute": 0.2})
    with Cloud(variant(), programs={"double": "double"}) as cloud:
        deadline = time.monotonic() + 10
        while len(cloud.invocations) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert {i.function for i in cloud.invocations} == {"SweepFunction"}
        assert len(cloud.invocations) >= 2


@pytest.fixture
def racing() -> Iterator[None]:
    """Threads that change places as often as they can, so that a race that is possible happens."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("racing")
def test_of_many_conditional_writes_one_wins(variant: Variant) -> None:
    with run(variant()) as cloud:
        s3, bucket = cloud.client("s3"), cloud.outputs["BucketName"]

        def won(**condition: str) -> bool:
            try:
                s3.put_object(Bucket=bucket, Key="state.json", Body=os.urandom(8), **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] == "PreconditionFailed":
                    return False
                raise
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda _: won(IfNoneMatch="*"), range(16))) == 1
            for _ in range(5):
                etag = s3.head_object(Bucket=bucket, Key="state.json")["ETag"]
                assert sum(pool.map(lambda _, etag=etag: won(IfMatch=etag), range(16))) == 1


@pytest.mark.usefixtures("racing")
def test_many_senders_and_receivers_lose_and_repeat_no_message(variant: Variant) -> None:
    with run(variant()) as cloud:
        # Past the server, where threads wait for each other more than they race.
        queues = sqs_backends[cloud.account][cloud.region]
        queues.create_queue("race", VisibilityTimeout=600)
        got: list[str] = []

        def send(number: int) -> None:
            queues.send_message("race", str(number))

        def receive(_: int) -> None:
            for message in queues.receive_message("race", 1, 0, 600):
                got.append(message.body)
                queues.delete_message("race", str(message.receipt_handle))

        with ThreadPoolExecutor(4) as senders, ThreadPoolExecutor(4) as receivers:
            senders.map(send, range(200))
            receivers.map(receive, range(600))
        for number in range(200 - len(got)):
            receive(number)
        assert sorted(got, key=int) == [str(number) for number in range(200)]


def test_an_installed_package_carries_the_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (application.root() / "local" / "assay_local" / "cloud.py").exists()
    monkeypatch.setattr(application, "HERE", tmp_path)
    (tmp_path / "application").mkdir()
    assert application.root() == tmp_path / "application"
