"""The first of the three ways that passes: in PyTorch, which is quick, and then as an ONNX graph."""

from collections.abc import Mapping
from dataclasses import replace

from exporter import describe, verify
from exporter.build import build
from exporter.check import as_array, check_answers, check_parity
from exporter.errors import ExportError, ForeignError
from exporter.foreign.body import Body
from exporter.foreign.bounds import Bound
from exporter.foreign.choose import Numbers, Way, over_time, problem_in_pytorch, ways
from exporter.foreign.failure import told
from exporter.foreign.layers import RecurrentLayer
from exporter.foreign.mixing import mixes_rows
from exporter.foreign.understand import Understood
from exporter.graph import quiet, without_prints_of
from exporter.layers import OnnxLayers
from exporter.options import Options
from exporter.sessions import Rows, alone
from exporter.source import AnyNetwork, Source
from exporter.weights import PINS

BETTER = {"stepwise": "chunks", "whole": "padding"}
"""What is lost when a way does not work."""


def chosen(
    source: Source, found: Understood, body: Body, rows: Rows, truth: Numbers, options: Options
) -> tuple[Source, Way]:
    """The source with the network that works, and the reasons why no better one does. Raises ForeignError."""
    problems: dict[str, str] = {}
    accepted = truth.accepted(body.per_step, options.parity)
    for way in ways(found, body):
        problem = way.problem or problem_in_pytorch(way, rows, truth, accepted)
        draft = replace(source, padding=way.padding, exportable=lambda pinned, way=way: network(way, {}, pinned))
        problem = problem or _problem_in_onnx(draft, rows, options)
        if problem is None:
            return replace(draft, reasons=reasons(way, problems)), way
        problems[way.name] = _explained(problem, found, body) if way.name == "stepwise" else problem
    raise ForeignError(_refusal(problems, mixes_rows(found)))


def _explained(problem: str, found: Understood, body: Body) -> str:
    """With the operations over time that are to blame, if any are found."""
    used = over_time(found, body)
    return f"its answer uses more than the last step: {'; '.join(used)}" if used else problem


def network(way: Way, bounds: Mapping[str, Bound], pinned: bool) -> AnyNetwork:
    """A way's network as it exports to ONNX; `bounds` are those of its layers' inputs, by their names."""
    if not pinned:
        return way.build(lambda layer: layer.onnx(0))
    return way.build(lambda layer: _pinned(layer, bounds.get(layer.name)))


def _pinned(layer: RecurrentLayer, bound: Bound | None) -> OnnxLayers:
    """Nothing is known of the inputs of a layer that the module does not call."""
    return layer.onnx(PINS) if bound is None else layer.onnx(PINS, bound.largest, bound.likely)


def _problem_in_onnx(source: Source, rows: Rows, options: Options) -> str | None:
    """Why the fp32 graph would not be published; None if it would."""
    try:
        with quiet("torch"), without_prints_of("torch"):
            built = build(source, rows, replace(options, precisions=("fp32",)))
        subject = describe.subject(source, built, "fp32")
        found = alone(subject.session(), rows).outputs
        check_parity(verify.parity(as_array(source.reference(rows), built.per_step), found), options)
        check_answers(source, found, rows, built.per_step, options)
        invariance = verify.invariance(subject, rows)
        verify.check_invariance(invariance, "fp32", subject, rows)
    except ExportError as error:
        return str(error)
    except Exception as error:  # whatever somebody else's code makes of tracing is a reason
        return told(error)
    return None


def reasons(way: Way, problems: dict[str, str]) -> dict[str, str]:
    """What the way that was taken does not offer, in a sentence each."""
    return {BETTER[name]: problem for name, problem in problems.items() if name in BETTER and name != way.name}


def _refusal(problems: dict[str, str], mixed: bool) -> str:
    reasons = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    advice = (
        "what it answers to a row changes with the other rows of the batch: give a recurrent layer that reads [batch, "
        "steps, ...] batch_first=True, and take hn[-1], or torch.cat([hn[-2], hn[-1]], 1), instead of hn.view(-1, ...)"
        if mixed
        else "let it answer from the last step or the final state of its recurrent layers, with operations that "
        "PyTorch can trace, and without a loop over rows"
    )
    return f"no way to export the module gives its own answers ({reasons}); {advice}"
