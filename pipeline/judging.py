"""The stages that judge: the audit's five questions, and the decision on what they found."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import JsonValue

from audit.core import Evidence, Question
from audit.membership import contaminated
from pipeline import verdicts
from pipeline.checking import broken_sentences, demanded, real_checks
from pipeline.contract import wrong_rules
from pipeline.dossier import assemble, write_report
from pipeline.errors import Mistake
from pipeline.estimates import Measured
from pipeline.evidence import gather
from pipeline.measuring import Bench, bench
from pipeline.registry import metric, metrics
from pipeline.stages import Call
from pipeline.steps import fingerprint, once
from pipeline.terminal import say
from pipeline.workspace import Workspace, read_json, replacing, write_json, write_text

Tell = Callable[[float, str], None]


def audit(this: Call) -> dict[str, JsonValue]:
    """Answer one question, or all five, for one model, or all; estimates only, no verdict."""
    threads = 1 if this.question is not None else None
    with bench(this.spec.seed, threads) as place, ThreadPoolExecutor(len(this.questions), "question") as doors:
        for done, name in enumerate(this.models):
            if not this.workspace.synthetic(name).exists():
                raise Mistake(f"model {name!r}: its synthetic rows are not there; run `generate` and `check` first")
            read = _Once(this, name)
            tells = _shares(this, name, done)
            waiting = [doors.submit(_answer, this, name, each, place, read, tells[each]) for each in this.questions]
            for each in waiting:
                each.result()
            this.show("audit", (done + 1) / len(this.models), name)
    return {"questions": list(this.questions)}


def decide(this: Call) -> dict[str, JsonValue]:
    """Judge every model, choose the one to release, put the others in quarantine, and write the report."""
    workspace, spec = this.workspace, this.spec
    workspace.release.unlink(missing_ok=True)  # a new decision: what was released before is not its release
    measured = {name: Measured.of(workspace, name) for name in spec.models}
    better = {name: metric(name).better for name in metrics()}
    wanted, moot = demanded(this)
    today = datetime.now(UTC).date()
    wrong = wrong_rules(real_checks(workspace, "train"))
    judged = {
        name: verdicts.judge(
            wanted, found(each, broken_sentences(read_json(workspace.contract(name))), wrong), better, today, moot
        )
        for name, each in measured.items()
    }
    estimates = {name: each.estimates for name, each in measured.items()}
    chosen = verdicts.choose(judged, estimates, spec.choose.metric, better[spec.choose.metric])
    word = verdicts.overall(judged)
    for name, verdict in judged.items():
        _quarantine(workspace, name, verdict)
    this.show("decide", 0.3, f"{word}; writing the report")
    document = assemble(spec, workspace, estimates, judged, chosen)
    write_report(workspace.home, document)
    # `dvc repro` does not ingest anew where only a model's settings change: this is the specification that was judged.
    write_text(workspace.spec_file, spec.dump())
    content: dict[str, JsonValue] = {
        "verdict": word,
        "model": chosen,
        "reasons": list(document.reasons),
        "policy": spec.policy,
        "models": {name: verdict.model_dump(mode="json") for name, verdict in judged.items()},
    }
    write_json(workspace.verdict, content)
    this.show("decide", 1.0, word)
    return {"verdict": word, "model": chosen, "report": str(workspace.report)}


def found(measured: Measured, broken_contract: tuple[str, ...], wrong: tuple[str, ...]) -> verdicts.Findings:
    """Put together what is known of one model."""
    attacked = measured.estimates.get("privacy.membership_inference")
    return verdicts.Findings(
        estimates=measured.estimates,
        controls=measured.controls,
        broken_contract=broken_contract,
        wrong_rules=wrong,
        contaminated=None if attacked is None else contaminated(attacked),
    )


class _Once:
    """One model's evidence, read by the first question that is not answered yet."""

    def __init__(self, this: Call, name: str) -> None:
        self.this = this
        self.name = name
        self.lock = threading.Lock()
        self.kept: Evidence | None = None

    def __call__(self) -> Evidence:
        with self.lock:
            if self.kept is None:
                spec = self.this.spec
                self.kept = gather(self.this.workspace, self.name, spec)
                if spec.deep and "privacy" in self.this.questions:
                    from pipeline.refitting import cost, refit

                    self.kept.refit = refit(spec, self.name, self.kept.train)
                    say(cost(self.name, self.kept.refit, len(self.kept.train)))
            return self.kept


def _answer(this: Call, name: str, question: Question, place: Bench, read: _Once, tell: Tell) -> None:
    workspace = this.workspace
    gated = sorted({each.metric for each in demanded(this)[0]})
    path = workspace.estimates(name, question)
    inputs: dict[str, JsonValue] = {
        "seed": this.spec.seed,
        "metrics": list(metrics(question)),
        "gated": list(gated),
        "deep": this.spec.deep,
        "declared": [list(this.spec.rules), list(this.spec.secrets), list(this.spec.analyses)],
    }
    files = [workspace.schema, workspace.train, workspace.holdout, workspace.synthetic(name)]

    def act() -> None:
        write_text(path, place.measure(read(), question, gated, tell).to_json())

    once(workspace, f"audit.{name}.{question}", fingerprint(inputs, files), [path], act)
    tell(1.0, name)


def _shares(this: Call, name: str, done: int) -> dict[Question, Tell]:
    """Return one voice per question; together they tell how much of the audit is done."""
    lock = threading.Lock()
    shares = dict.fromkeys(this.questions, 0.0)

    def voice(question: Question) -> Tell:
        def tell(share: float, message: str) -> None:
            with lock:
                shares[question] = max(share, shares[question])
                total = sum(shares.values()) / len(shares)
                this.show("audit", (done + total) / len(this.models), f"{name}: {message}")

        return tell

    return {question: voice(question) for question in this.questions}


def _quarantine(workspace: Workspace, name: str, verdict: verdicts.Verdict) -> None:
    """Keep a copy of rows that were not accepted, apart from everything that is published."""
    path = workspace.quarantine(name)
    if verdict.verdict == "accepted":
        path.unlink(missing_ok=True)
        return
    with replacing(path) as copy:
        shutil.copyfile(workspace.synthetic(name), copy)
