"""DICOM: rescaled and windowed by hand and as pydicom does, and nothing of the patient anywhere."""

import contextlib
import io
import sys

import numpy as np
import pytest

from gradcam_eval.core import BadSample, InputError
from gradcam_eval.data import ClassMap, Pixels, Reading, load_image, open_source
from gradcam_eval.data.decode import decode_file, picture_header
from gradcam_eval.data.dicom import decode_dicom

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed (extra [medical])")

PATIENT = "Mustermann^Erika"
VALUES = np.array([[0, 24, 924, 1064, 1424, 4095]], np.uint16)


def dicom(values=VALUES, **elements):
    """Return the bytes of a CT-like file; `elements` replace or (None) remove those it has."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = elements.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    found = pydicom.Dataset()
    found.file_meta = meta
    found.PatientName, found.PatientID, found.PatientBirthDate = PATIENT, "4711", "19400101"
    is_colour = values.ndim == 3
    bits = 8 * values.itemsize
    known = {
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "SamplesPerPixel": 3 if is_colour else 1,
        "PhotometricInterpretation": "RGB" if is_colour else "MONOCHROME2",
        "PlanarConfiguration": 0 if is_colour else None,
        "BitsAllocated": bits,
        "BitsStored": bits if is_colour else 12,
        "HighBit": (bits if is_colour else 12) - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        "RescaleSlope": None if is_colour else 1,
        "RescaleIntercept": None if is_colour else -1024,
        **elements,
    }
    for name, value in known.items():
        if value is not None:
            setattr(found, name, value)
    found.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, found, enforce_file_format=True)
    return stream.getvalue()


def levels(content, **rules):
    return np.asarray(decode_file(content, name="x.dcm", pixels=Pixels(**rules)).picture)[0]


def test_a_window_in_hounsfield_units_by_hand():
    found = decode_file(dicom(), name="x.dcm", pixels=Pixels(window=(-1000, 400)))
    np.testing.assert_allclose(
        np.asarray(found.picture)[0], [0, 0, 163.929, 189.429, 255, 255], atol=1e-3
    )
    assert found.notes == (
        "DICOM: slope 1, intercept -1024, values -1024 to 3071, window -1000 to 400",
    )
    assert found.is_grey


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_files_own_window_is_pydicoms(function):
    from pydicom.pixels import apply_modality_lut, apply_windowing

    content = dicom(WindowCenter=[40, 300], WindowWidth=[400, 2000], VOILUTFunction=function)
    given = pydicom.dcmread(io.BytesIO(content))
    shown = apply_windowing(apply_modality_lut(given.pixel_array, given), given)
    low, high = -1024, 4095 - 1024  # what 12 bits can have, rescaled: pydicom's output range
    expected = 255 * (shown - low) / (high - low)
    np.testing.assert_allclose(levels(content), expected[0], atol=2e-3)


def test_without_a_window_all_possible_values_are_shown():
    found = decode_file(dicom(), name="x.dcm")
    np.testing.assert_allclose(np.asarray(found.picture)[0], VALUES[0] / 4095 * 255, atol=1e-3)
    assert "all possible values" in found.notes[0]
    signed = np.array([[-2048, 0, 2047]], np.int16)
    assert levels(dicom(signed, RescaleIntercept=None, RescaleSlope=None)).tolist() == (
        pytest.approx([0, 127.53, 255], abs=0.01)
    )
    dark = decode_file(dicom(VALUES // 30), name="x.dcm")
    assert "under a sixteenth" in dark.warnings[0]


def test_monochrome1_is_inverted():
    one, two = (
        decode_file(dicom(PhotometricInterpretation=kind), name="x.dcm")
        for kind in ("MONOCHROME1", "MONOCHROME2")
    )
    np.testing.assert_allclose(np.asarray(one.picture), 255 - np.asarray(two.picture))
    assert one.notes[-1] == "MONOCHROME1: inverted"


def test_a_voi_table_is_looked_up():
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "SS", [4096, -1024, 16])
    table.add_new("LUTData", "OW", np.linspace(65535, 0, 4096).astype(np.uint16).tobytes())
    found = levels(dicom(VOILUTSequence=[table]))
    np.testing.assert_allclose(found, 255 - VALUES[0] / 4095 * 255, atol=0.01)


def test_colour_and_the_first_of_several_frames():
    colour = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    found = decode_file(dicom(colour), name="x.dcm")
    assert np.array_equal(np.asarray(found.picture), colour)
    two = np.concatenate([VALUES, VALUES[:, ::-1]])
    found = decode_file(dicom(two, Rows=1, NumberOfFrames=2), name="x.dcm")
    np.testing.assert_allclose(np.asarray(found.picture)[0], VALUES[0] / 4095 * 255, atol=1e-3)
    assert found.notes[-1] == "frame 1 of 2"


def group(**sequences):
    """Return a functional group: each sequence has one item with these elements."""
    found = pydicom.Dataset()
    for name, elements in sequences.items():
        item = pydicom.Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        setattr(found, name, [item])
    return found


def test_an_enhanced_file_is_read_as_its_first_frame_says():
    values = np.concatenate([VALUES, VALUES[:, ::-1]])
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -1024}
    windows = [{"WindowCenter": c, "WindowWidth": 400} for c in (40, 900)]
    content = dicom(
        values,
        Rows=1,
        NumberOfFrames=2,
        RescaleSlope=None,
        RescaleIntercept=None,
        SharedFunctionalGroupsSequence=[
            group(PixelValueTransformationSequence=rescale, FrameVOILUTSequence=windows[1])
        ],
        PerFrameFunctionalGroupsSequence=[group(FrameVOILUTSequence=each) for each in windows],
    )
    classic = dicom(RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    np.testing.assert_array_equal(levels(content), levels(classic))
    found = decode_file(content, name="x.dcm", pixels=Pixels(window=(-1000, 400)))
    assert found.notes[0].startswith("DICOM: slope 2, intercept -1024, values -1024 to 7166")
    assert found.notes[-1] == "frame 1 of 2"
    assert (
        "all possible values"
        in decode_file(dicom(SharedFunctionalGroupsSequence=[]), name="x").notes[0]
    )


@pytest.mark.parametrize(
    ("content", "rules", "words"),
    [
        (lambda: dicom(), {"bits": 12}, "says its bits itself, and bits = 12 was given"),
        (lambda: dicom(PhotometricInterpretation="PALETTE COLOR"), {}, "kind 'PALETTE COLOR'"),
        (lambda: dicom(WindowCenter=1, WindowWidth=1), {}, "width 1, which is none"),
        (lambda: dicom(Rows=60000, Columns=60000), {}, "60000x60000 pixels"),
        (lambda: dicom(Rows=None), {}, "cannot be read as DICOM"),
        (lambda: dicom()[:-6], {}, "cannot be read as DICOM"),
        (lambda: dicom(syntax="1.2.840.10008.1.2.1.99"), {}, "deflated"),
        (lambda: b"\0" * 128 + b"DICM" + b"\xff" * 40, {}, "cannot be read as DICOM"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_patient(content, rules, words):
    with pytest.raises(InputError, match=words) as caught:
        decode_file(content(), name="x.dcm", pixels=Pixels(**rules))
    assert PATIENT not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_raise_nothing_but_input_error():
    rng, seed = np.random.default_rng(0), dicom(WindowCenter=40, WindowWidth=400)
    for _ in range(200):
        data = bytearray(seed)
        for where in rng.integers(132, len(data), 4):
            data[where] = rng.integers(256)
        with contextlib.suppress(InputError):
            decode_file(bytes(data), name="fuzz")


@pytest.mark.filterwarnings("ignore:.*burned into")
def test_folders_read_dicom_and_results_hold_nothing_of_the_patient(tmp_path):
    path = tmp_path / "scan.dcm"
    path.write_bytes(dicom(BurnedInAnnotation="YES"))
    assert picture_header(path) == ((1, 6), 1)
    assert load_image(path, channels=1, pixels=Pixels(window=(-1000, 400))).shape == (1, 6, 1)
    reading = Reading((1, 6), classes=ClassMap(()), channels=1)
    (sample,) = open_source(tmp_path).samples(reading)
    assert sample.applied.startswith("DICOM: slope 1")
    assert "burned into its picture" in sample.applied
    for secret in (PATIENT, "4711", "19400101"):
        assert secret not in repr(sample)


def test_no_element_of_the_patient_is_read():
    from gradcam_eval.data.dicom import _header

    assert not [e for e in _header(dicom(), "x") if "Patient" in e.keyword]


def test_without_pydicom_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    content = b"\0" * 128 + b"DICM"
    with pytest.raises(InputError, match=r'pip install "gradcam-eval\[medical\]"'):
        decode_dicom(content, Pixels(), name="x", most=9)
    (tmp_path / "a.dcm").write_bytes(content)
    (bad,) = open_source(tmp_path).samples(Reading((1, 6), classes=ClassMap(())))
    assert isinstance(bad, BadSample)
