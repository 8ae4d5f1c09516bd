"""What the step publish_summary takes for a large run: 200 classes, 10,000 test images, 200 mistakes explained twice.

The step runs as in Lambda: in a fresh process that has only it, against an AWS on this machine (moto's server), once as
fast as it goes and once stopped so often that it has the share of a processor that Lambda gives for its memory. Its
heat maps have a photo's sizes: 112 KB, thumbnails 15 KB; each mistake has one of the predicted and one of the true
class, and a champion that explained it too. Prints seconds, the process's largest memory, and the page's size.

    python benchmarks/summary/step.py [--page summary.html]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OF_THE_STEP = [str(ROOT / part) for part in ("functions", "layers/contracts", "layers/aws")]
sys.path[:0] = [*OF_THE_STEP, str(ROOT / "containers")]

CLASSES, IMAGES, EXPLAINED = 200, 10_000, 200
HEAT_MAP, THUMBNAIL = 112_000, 15_000
"""Bytes: means of heat maps of photos."""
BUCKET, ACCOUNT = "archives", "123456789012"
LAMBDA_MB = 512
VCPU_MB = 1769
"""Lambda gives a whole processor from this much memory on (AWS Lambda developer guide, "Configure memory")."""
TURN = 0.02
"""Seconds: within each the step is stopped once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", metavar="FILE", type=Path, help="where the page is written to, to be looked at")
    parser.add_argument("--step", metavar="EVENT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is not None:
        print(json.dumps(step(json.loads(given.step))))
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= environment(port)
    server = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as aws:
        try:
            wait_for(port)
            print(f"{CLASSES} classes, {IMAGES:,} images, {EXPLAINED} of them explained")
            for share in (1.0, LAMBDA_MB / VCPU_MB):
                event, page = lay_out_run(f"models/birds/{share:.3f}/model.tar.gz")
                took = run_step(event, share)
                content = read(page)
                size = len(content)
                if given.page is not None:
                    given.page.write_bytes(content)
                print(
                    f"  {share:4.0%} of a processor: step {took['step']:5.2f} s, imports {took['imports']:4.2f} s, "
                    f"processor {took['processor']:4.2f} s, memory {took['megabytes']:.0f} MB; page {size / 1e6:.2f} MB"
                )
        finally:
            aws.terminate()


def environment(port: int) -> dict[str, str]:
    queues = {
        f"{name.upper()}_QUEUE_URL": f"http://127.0.0.1:{port}/{ACCOUNT}/{name}"
        for name in ("start_evaluation", "start_explanation", "publish_summary")
    }
    return queues | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "of-a-benchmark",
        "AWS_SECRET_ACCESS_KEY": "of-a-benchmark",
        "BUCKET_NAME": BUCKET,
        "PREFIX": "assay",
        "TOPIC_ARN": f"arn:aws:sns:us-east-1:{ACCOUNT}:verdicts",
        "EVALUATION_INSTANCE_TYPES": "ml.m5.xlarge",
        "EXPLANATION_INSTANCE_TYPES": "ml.m5.xlarge",
        "POWERTOOLS_METRICS_NAMESPACE": "Assay",
        "POWERTOOLS_SERVICE_NAME": "assay",
    }


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("moto's server does not start")


def read(key: str) -> bytes:
    from assay_aws import clients

    return clients.s3().get_object(Bucket=BUCKET, Key=key)["Body"].read()


def lay_out_run(key: str) -> tuple[dict[str, Any], str]:
    """A run whose jobs have ended, and its champion's; returns the event that is due, and where its page will lie."""
    from assay.events import StepDue
    from assay.layout import RunFolder
    from assay.names import run_id
    from assay_aws import clients

    s3 = clients.s3()
    s3.create_bucket(Bucket=BUCKET)
    clients.sns().create_topic(Name="verdicts")
    folder, champion = RunFolder("birds", run_id(BUCKET, key, "1")), RunFolder("birds", "c" * 20)
    for one in (folder, champion):
        for name, content in files(one, key, champion.run):
            s3.put_object(Bucket=BUCKET, Key=name, Body=content)
    for stage in ("evaluation", "explanation"):
        end_job(f"assay-{folder.run}-01-{stage}")
    return StepDue.of(folder.run).model_dump(by_alias=True), folder.summary_html


def end_job(name: str) -> None:
    """A job of moto's is Completed at once."""
    from assay_aws import clients

    clients.sagemaker().create_processing_job(
        ProcessingJobName=name,
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
        },
        AppSpecification={"ImageUri": "image"},
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/jobs",
    )


def files(folder: Any, key: str, champion: str) -> list[tuple[str, bytes]]:
    """Everything of a run that the step reads."""
    from datetime import UTC, datetime

    from assay.events import Upload
    from assay.layout import active_key
    from assay.policy import Policy
    from assay.run import ActiveRun, Archive, Champion, Run, RunState
    from evaluator.plots import confusion_svg, per_class_svg

    now = datetime(2026, 11, 1, tzinfo=UTC)
    upload = Upload(bucket=BUCKET, key=key, version="1")
    policy = Policy.model_validate(
        {
            "task": "image_classification",
            "data": {"source": "test/", "annotations": "test.csv"},
            "gates": [{"metric": "accuracy", "min": 0.9}, {"metric": "recall", "class": "each", "min": 0.5}],
        }
    )
    held = Champion(model="birds", run=champion, uploaded_at=now, key=key, version="0", crowned_at=now)
    run = Run(
        id=folder.run,
        model="birds",
        upload=upload,
        archive=Archive(version="1", size=1, etag="e", uploaded_at=now),
        opened_at=now,
        policy=policy,
        champion=None if folder.run == champion else held,
    )
    report, samples, analysis = evaluated(folder.run != champion)
    pictures = [
        (folder.explanation + name, os.urandom(size))
        for n in range(EXPLAINED)
        for label in ("predicted", "true")
        for name, size in (
            (f"explanations_shap/shap_{n}_{label}.jpeg", HEAT_MAP),
            (f"assay/thumbnails/shap_{n}_{label}.webp", THUMBNAIL),
        )
    ]
    recall_and_precision = {name: report.per_class[name] for name in ("recall", "precision")}
    return [
        (active_key(folder.run), ActiveRun(upload=upload, opened_at=now).to_json().encode()),
        (folder.run_json, run.to_json().encode()),
        (folder.state_json, RunState(run=folder.run).to_json().encode()),
        (folder.report, report.to_json().encode()),
        (folder.samples, samples.to_json().encode()),
        (folder.analysis, json.dumps(analysis).encode()),
        (folder.evaluation + "plots/confusion.svg", confusion_svg(report.confusion).encode()),
        (
            folder.evaluation + "plots/classes.svg",
            per_class_svg(recall_and_precision, list(recall_and_precision)).encode(),
        ),
        *pictures,
    ]


def evaluated(compared: bool) -> tuple[Any, Any, dict[str, Any]]:
    """Numbers by chance, in the shape and number of those of a real evaluation."""
    from assay.evaluation import (
        Comparison,
        ConfusionMatrix,
        DataFacts,
        Difference,
        EvaluationReport,
        Explainable,
        ExplainSample,
        ExplainSamples,
        Flip,
        Metric,
        ModelFacts,
    )

    chance = random.Random(compared)  # noqa: S311
    labels = tuple(f"class number {n}" for n in range(CLASSES))
    names = ("precision", "recall", "f1", "roc_auc", "pr_auc")

    def metric() -> Metric:
        value = chance.random()
        return Metric(value=value, low=value - 0.05, high=value + 0.05, n=50, higher_is_better=True)

    def difference() -> Difference:
        value = chance.uniform(-0.2, 0.2)
        return Difference(
            ours=0.5 + value, champion=0.5, value=value, low=value - 0.1, high=value + 0.1, higher_is_better=True
        )

    samples = tuple(
        ExplainSample(
            id=f"{n:06}.jpeg",
            row=n,
            sample=("representative", "chosen"),
            reason=f"mistake: {labels[n]} taken for {labels[0]} with 0.91",
            true=labels[n],
            predicted=labels[0] if n else labels[1],
            score=0.91,
            file=f"{n}.jpeg",
            fingerprint=str(n),
        )
        for n in range(EXPLAINED)
    )
    flips = tuple(
        Flip(id=one.id, row=one.row, true=one.true or "", predicted=one.predicted or "", champion=one.true or "")
        for one in samples[:100]
    )
    comparison = Comparison(
        champion="c" * 20,
        rows=IMAGES,
        metrics={name: difference() for name in ("accuracy", "f1_macro", "log_loss")},
        per_class={name: {label: difference() for label in labels} for name in names},
        mended=100,
        broken=300,
        mcnemar_p=0.001,
        flips=flips,
    )
    report = EvaluationReport(
        task="image_classification",
        labels=labels,
        metrics={
            name: metric() for name in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "ece")
        },
        per_class={name: {label: metric() for label in labels} for name in names},
        confusion=ConfusionMatrix(
            labels=labels, counts=tuple(tuple(chance.choice((0, 0, 0, 1)) for _ in labels) for _ in labels)
        ),
        comparison=comparison if compared else None,
        model=ModelFacts(
            format="SavedModel", runtime="TensorFlow", archive_sha256=str(compared), inputs=(), outputs=()
        ),
        data=DataFacts(rows=IMAGES, sha256="da"),
        explain=Explainable(kind="images", samples=EXPLAINED, label_headers=labels),
        plots=("plots/confusion.svg", "plots/classes.svg"),
    )
    images = [
        {
            "image": f"{n}.jpeg",
            "heat_maps": {"predicted": f"shap_{n}_predicted.jpeg", "true": f"shap_{n}_true.jpeg"},
            "additivity_gap": 1e-9,
        }
        for n in range(EXPLAINED)
    ]
    return (
        report,
        ExplainSamples(samples=samples),
        {"version": "1.0", "assay": {"samples": EXPLAINED, "images": images}},
    )


def run_step(event: dict[str, Any], share: float) -> dict[str, float]:
    """The step in a process of its own, which runs for this share of each turn."""
    command = [sys.executable, __file__, "--step", json.dumps(event)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        while share < 1 and child.poll() is None:
            time.sleep(TURN * share)
            child.send_signal(signal.SIGSTOP)
            time.sleep(TURN * (1 - share))
            child.send_signal(signal.SIGCONT)
        output, _ = child.communicate()
    if child.returncode:
        raise SystemExit(output)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def step(event: dict[str, Any]) -> dict[str, float]:
    sys.path[:] = [path for path in sys.path if not path.endswith("containers")]
    began = time.perf_counter()
    from assay_aws import clients
    from publish_summary.handler import publish_summary

    imported = time.perf_counter()
    clients.sagemaker().meta.events.register("after-call.sagemaker.DescribeProcessingJob", complete)
    publish_summary(event)
    ended = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "imports": imported - began,
        "step": ended - imported,
        "processor": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / 1024,
    }


def complete(parsed: dict[str, Any], **_: object) -> None:
    """What moto's answer lacks."""
    parsed.setdefault("ProcessingResources", {"ClusterConfig": {"InstanceType": "ml.m5.xlarge"}})


if __name__ == "__main__":
    main()
