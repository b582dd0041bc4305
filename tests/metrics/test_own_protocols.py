"""Protocols of one's own: what is checked, who knows them afterwards, and what they change."""

import dataclasses

import numpy as np
import pytest

from gradcam_eval.core import Case, InputError, Truth
from gradcam_eval.metrics import METRICS, evaluate, register_metric, register_protocol
from gradcam_eval.metrics.listing import rows
from gradcam_eval.protocols import BUILT_IN, PROTOCOLS, OwnProtocol, describe, family_of, protocol
from gradcam_eval.study.config import make_study
from gradcam_eval.study.provenance import fingerprint_of

STUDY = {"name": "s", "models": ["evidence_gap"], "data": "photos", "metrics": ["deletion"]}


@pytest.fixture(autouse=True)
def restored():
    """Leave the tables of metrics and protocols as they were."""
    metrics, protocols = dict(METRICS), dict(PROTOCOLS)
    yield
    for table, before in ((METRICS, metrics), (PROTOCOLS, protocols)):
        table.clear()
        table.update(before)


def own(like="rise2018", /, **fields):
    return dataclasses.replace(PROTOCOLS[like], **{"name": "mine", "source": "ours", **fields})


def test_a_registered_protocol_is_known_by_its_name_and_changes_the_number():
    record = register_protocol(
        own("pointing2018", tolerance_pixels=3.0, metrics=("pointing_game",))
    )
    assert protocol("mine", "pointing_game") is record
    assert METRICS["pointing_game"].protocols[-1] == "mine"
    assert METRICS["pointing_game"].default_protocol == "pointing2018"
    assert "mine" not in METRICS["pointing_game_class_mean"].protocols
    assert describe("mine")["tolerance_pixels"] == 3
    assert family_of("mine") == "localization"
    assert rows()["pointing_game"]["protocols"].endswith(", mine")
    mask = np.zeros((20, 20), bool)
    mask[:, 10:] = True
    heatmap = np.zeros((20, 20), np.float32)
    heatmap[5, 6] = 1  # four pixels beside the object
    truth = Truth((20, 20), mask=mask)
    case = Case(np.zeros((20, 20, 3), np.float32), heatmap, 0, truth, truth)
    assert evaluate("pointing_game", [case]) == [True]
    assert evaluate("pointing_game", [case], protocol_name="mine") == [False]


@pytest.mark.parametrize("name", sorted(BUILT_IN - {"own"}))
def test_every_built_in_record_could_be_one_s_own(name):
    known = tuple(metric for metric in PROTOCOLS[name].metrics if metric in METRICS)
    if not known:
        pytest.skip("of functions and checks that no study names")
    record = register_protocol(own(name, metrics=known))
    assert family_of("mine") == family_of(name)
    assert all("mine" in METRICS[metric].protocols for metric in record.metrics)


def test_the_same_record_may_be_registered_again_and_another_may_not():
    register_protocol(own(step_pixels=512))
    register_protocol(own(step_pixels=512))
    assert METRICS["deletion"].protocols.count("mine") == 1
    with pytest.raises(InputError, match=r"'mine' exists already with other values: .* name"):
        register_protocol(own(step_pixels=511))
    with pytest.raises(InputError, match="'rise2018' exists already"):
        register_protocol(own(name="rise2018"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("rise2018", "the protocol is 'rise2018': expected a record, such as"),
        ({"name": "mine"}, "expected a record"),
        (own(name="../up"), "name is '../up': expected at most 100 letters"),
        (own(name=3), "the protocol 3, name = 3: input should be a valid string"),
        (own(source=" "), "has no source: say where"),
        (own(metrics=()), "names no metric"),
        (own(metrics=("deletoin",)), "'deletoin': did you mean 'deletion'"),
        (
            own(metrics=("deletion", "iou")),
            "is a FaithfulnessProtocol, .* 'iou' takes IouP",
        ),
        (own(metrics="deletion"), "metrics = 'deletion': input should be a valid tuple"),
        (own(step_pixels=0), "step_pixels = 0: expected 1 or more"),
        (own(step_pixels=1.5), "step_pixels = 1.5: input should be a valid integer"),
        (own(step_pixels=True), "step_pixels = True: input should be a valid integer"),
        (own(step_pixels=None), "neither step_pixels nor step_fraction"),
        (own(step_fraction=1.5), "step_fraction = 1.5: expected above 0, at most 1"),
        (
            own(score="probabilty"),
            "score = 'probabilty': input should be 'probability', 'log",
        ),
        (own(removal="black"), "removal = 'black': input should be"),
        (own("road2022", fractions=(0.5, 0.1)), "expected ascending numbers"),
        (own("road2022", fractions=(0.5, 2.0)), "fractions = .*: expected above 0, at most 1"),
        (own("road2022", noise=float("nan")), "noise = nan: expected"),
        (own("yeh2019", radius=0.0), "radius = 0.0: expected above 0"),
        (own("infidelity2019", draws=0), "draws = 0: expected 1 or more"),
        (
            own(removal=dataclasses.replace(PROTOCOLS["rise2018"].removal, colour=(0.0, 300.0))),
            "removal, colour = .*: expected 0 or more, at most 255",
        ),
        (
            own(removal=dataclasses.replace(PROTOCOLS["rise2018"].removal, rule="colours")),
            "removal, rule = 'colours': input should be 'colour', 'image_mean'",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_with_a_record_is_named_and_nothing_is_registered(record, message):
    before = dict(METRICS), dict(PROTOCOLS)
    with pytest.raises(InputError, match=message):
        register_protocol(record)
    assert before == (METRICS, PROTOCOLS)


def test_a_metric_of_one_s_own_takes_protocols_with_fields_of_their_own():
    @register_metric("height", needs="heatmap", unit="share", higher_is_better=True)
    def height(cases, predict, name):
        """The share of values above a level."""
        level = getattr(PROTOCOLS[name], "level", 0.5)
        return [float((case.heatmap > level).mean()) for case in cases]

    @dataclasses.dataclass(frozen=True)
    class LevelProtocol(OwnProtocol):
        level: float = 0.5

    register_protocol(LevelProtocol("high", ("height",), "ours", level=0.9))
    nothing = Truth((1, 4))
    heatmap = np.array([[0.0, 0.6, 0.8, 1.0]], np.float32)
    case = Case(np.zeros((1, 4, 3), np.float32), heatmap, 0, nothing, nothing)
    assert evaluate("height", [case]) == [0.75]
    assert evaluate("height", [case], protocol_name="high") == [0.25]
    with pytest.raises(InputError, match="takes LevelProtocol or OwnProtocol"):
        register_protocol(own(metrics=("height",)))


def test_a_study_names_it_and_does_not_resume_under_other_values():
    chosen = {**STUDY, "protocols": {"deletion": ["rise2018", "mine"]}}
    with pytest.raises(InputError, match="unknown protocol of the metric 'deletion' 'mine'"):
        make_study(chosen)
    digests = set()
    for step in (512, 1024):
        register_protocol(own(step_pixels=step, metrics=("deletion",)))
        study = make_study(chosen)
        assert study.measures == [("deletion", "rise2018"), ("deletion", "mine")]
        digests.add(fingerprint_of(study, []))
        del PROTOCOLS["mine"]  # as in another process
        METRICS["deletion"] = dataclasses.replace(
            METRICS["deletion"], protocols=METRICS["deletion"].protocols[:-1]
        )
    assert len(digests) == 2
    assert fingerprint_of(make_study(STUDY), []) not in digests
