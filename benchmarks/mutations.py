"""Damage every kind of file that is read, at random by a seed, and see what the readers say.

Run: ``python benchmarks/mutations.py 300 1 [TARGET …]`` for 300 mutations of each target by seed 1;
each target is a process of its own, so that a crash is seen.
What may come out is a value that keeps the reader's promises, or an `InputError` of at most 500
characters. A line is printed for each other exception, each longer sentence, each mutation that
takes more than `SECONDS` or `MEGABYTES`, and each promise that is broken. Ledgers are mutated by
``python tests/test_ledger_damage.py 2000 1``; `tests/test_mutations.py` is the short form of this.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS / "data"), str(_TESTS / "report")]  # which make small files of each kind
LONGEST, SECONDS, MEGABYTES = 500, 20.0, 1200
WORDS = (
    *("-1", "0", "1", "2", "1e999", "-1e999", "NaN", "nan", "Infinity", "1e300", "1e-320"),
    *("9223372036854775808", "9" * 40, "0x10", "1_000", "²", "٣", "", " ", '""', "null", "true"),
    *(
        "[]",
        "{}",
        "[[]]",
        "[" * 3000,
        '{"a":' * 3000,
        "\\ud800",
        "\0",
        "\r",
        "\n",
        "\u2028",
        "\ufeff",
    ),
    *(
        "../..",
        "/etc/passwd",
        "C:\\x",
        "a" * 4000,
        "caf\u0065\u0301",
        "\u202e",
        "\x1b[2J",
        "%s",
        "<!--",
    ),
)


def as_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return bytes after an accident: bits, noise, zeros, a cut, a lost or doubled part."""
    kind = rng.choice(["bit", "bits", "noise", "zeros", "cut", "lost", "doubled", "ff", "swap"])
    size = max(len(content), 1)
    start, length = rng.randrange(size), rng.choice([1, 2, 4, 16, 100, size // 3 + 1])
    stop = start + length
    if kind in ("bit", "bits"):
        changed = bytearray(content or b"\0")
        for _ in range(1 if kind == "bit" else 8):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    middle = {
        "noise": rng.randbytes(length),
        "zeros": bytes(length),
        "ff": b"\xff" * length,
        "doubled": content[start:stop] * 2,
    }.get(kind, b"")
    if kind == "cut":
        return content[:start]
    if kind == "swap":
        other = rng.randrange(size)
        middle = content[other : other + length]
    return content[:start] + middle + content[stop:]


_TOKEN = re.compile(r'-?\d+\.?\d*(?:e[+-]?\d+)?|"[^"\n]*"|[A-Za-z_]\w*')


def as_text(content: bytes, rng: random.Random) -> bytes:
    """Return a text after a bad hand: words replaced, removed, swapped or doubled, lines too."""
    text = content.decode("utf-8", "replace")
    for _ in range(rng.choice([1, 1, 2, 4])):
        tokens = list(_TOKEN.finditer(text))
        if not tokens:
            break
        token, other = rng.choice(tokens), rng.choice(tokens)
        kind = rng.choice(["word", "word", "word", "gone", "swap", "line", "lines", "quoted"])
        if kind in ("line", "lines"):
            rows = text.split("\n")
            at = rng.randrange(len(rows))
            rows[at : at + 1] = [] if kind == "line" else [rows[at], rows[at]]
            text = "\n".join(rows)
            continue
        new = {"gone": "", "swap": other[0], "quoted": f'"{token[0]}"'}.get(kind, rng.choice(WORDS))
        text = text[: token.start()] + new + text[token.end() :]
    return text.encode("utf-8", "surrogatepass")


def of_json(content: bytes, rng: random.Random) -> bytes:
    """Return JSON whose values, keys or types were changed; a valid document."""
    value = json.loads(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.choice(["value", "value", "value", "gone", "swap", "copy", "wrap"])
        if kind == "gone":
            del holder[key]
        elif kind == "swap":
            other, at = rng.choice(places)
            with contextlib.suppress(KeyError, IndexError):
                holder[key], other[at] = other[at], holder[key]
        elif kind == "wrap":
            holder[key] = [holder[key]]
        elif kind == "copy" and isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            holder[key] = rng.choice(_VALUES)
        try:
            value = json.loads(json.dumps(value))
        except (ValueError, RecursionError):  # a value inside itself
            return content
    return json.dumps(value).encode()


_VALUES: list[Any] = [None, True, False, 0, -1, 3, 2**63, 10**40, 1.5, 1e308, float("nan"),
    float("inf"), "", "x", "1", "a" * 4000, "\udce9", "\0", [], {}, [[]], [1, "a"],
    {"a": 1}]  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each (container, key or index) inside parsed JSON."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            keys: list[Any] = list(item)
        elif isinstance(item, list):
            keys = list(range(len(item)))
        else:
            continue
        left.extend(item[key] for key in keys)
        yield from ((item, key) for key in keys)


def changed(content: bytes, rng: random.Random, name: str) -> bytes:
    """Return a file's content after one mutation that suits its kind."""
    kinds: list[Callable[[bytes, random.Random], bytes]] = [as_bytes]
    if name.endswith((".csv", ".txt", ".toml", ".xml", ".jsonl", ".json")):
        kinds += [as_text, as_text]
    if name.endswith(".json"):
        kinds += [of_json, of_json, of_json]
    try:
        return rng.choice(kinds)(content, rng)
    except (ValueError, KeyError, IndexError):
        return as_bytes(content, rng)


# ---- targets: each returns files (name → content) and what reads the folder that has them


def pictures() -> dict[str, bytes]:
    """Return small picture files of every format, depth and layout that is read."""
    import tifffile
    from PIL import Image

    grey = np.random.default_rng(0).integers(0, 4096, (40, 48), dtype=np.uint16)
    colour = np.random.default_rng(1).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    found: dict[str, bytes] = {}

    def save(name: str, picture: Any, **options: Any) -> None:
        stream = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(name.rsplit(".")[1])
        picture.save(stream, kind or name.rsplit(".")[1].upper(), **options)
        found[name] = stream.getvalue()

    rgb, deep = Image.fromarray(colour), Image.fromarray(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    save("rgb.png", rgb, exif=exif)
    save("deep.png", deep)
    for mode in ("P", "L", "LA", "RGBA", "1"):
        save(f"{mode}.png", rgb.convert(mode))
    save("base.jpg", rgb, exif=exif)
    save("progressive.jpg", rgb, progressive=True)
    save("grey.jpg", rgb.convert("L"))
    save("cmyk.jpg", rgb.convert("CMYK"))
    for name in ("a.webp", "a.gif", "a.bmp", "a.ppm", "a.jp2", "a.avif"):
        with contextlib.suppress(KeyError, OSError, ValueError):
            save(name, rgb)
    save("plain.tif", rgb)
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        save(f"{compression}.tif", rgb, compression=compression)
    save("deep.tif", deep)
    save("float.tif", Image.fromarray(grey.astype(np.float32)))
    for name, values, kind in (("t3.tif", colour, "rgb"), ("t1.tif", grey, "minisblack")):
        stream = io.BytesIO()
        tifffile.imwrite(stream, values, tile=(16, 16), compression="deflate", photometric=kind)
        found[name] = stream.getvalue()
    return found


def _read_pictures(pixels: list[Any]) -> Callable[[Path], None]:
    from gradcam_eval.data.decode import decode_file, picture_header

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        for each in pixels:
            with _refused():
                found = decode_file(path, name="x", pixels=each).picture
                values = np.asarray(found)
                assert found.mode in ("RGB", "F"), found.mode
                assert np.isfinite(values).all()
                assert values.min() >= 0
                assert values.max() <= 255
        with _refused():
            height, width = picture_header(path)[0]
            assert height >= 0
            assert width >= 0

    return read


def read_whole_pictures() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Pictures, with and without a window."""
    from gradcam_eval.data import Pixels

    rules = [Pixels(), Pixels(bits=12), Pixels(window=(-100, 4000))]
    return [{name: content} for name, content in pictures().items()], _read_pictures(rules)


def read_reduced_pictures() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Pictures that are reduced while they are decoded: those of more than 1,000 pixels here."""
    from gradcam_eval.data import Pixels, decode

    decode.MAX_PIXELS = 1000
    files = [{n: c} for n, c in pictures().items() if n.endswith((".tif", ".jpg"))]
    return files, _read_pictures([Pixels(large="reduce"), Pixels(large="reduce", bits=12)])


def read_masks() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Pictures as masks."""
    from gradcam_eval.data.readers.files import read_label_picture

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        for size in (None, (40, 48)):
            with _refused():
                found = read_label_picture(path, size)
                assert found.dtype == np.uint8
                assert found.ndim == 2

    return [{n: c} for n, c in pictures().items() if n.endswith((".png", ".bmp", ".gif"))], read


def read_dicom() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Classic and enhanced DICOM files, and compressed ones."""
    from test_dicom import VALUES, dicom, group

    from gradcam_eval.data import Pixels

    colour = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    window = {"WindowCenter": 40, "WindowWidth": 400}
    frames = [group(FrameVOILUTSequence=window, PixelValueTransformationSequence=
                    {"RescaleSlope": 2, "RescaleIntercept": -9})] * 2  # fmt: skip
    made = [
        dicom(**window),
        dicom(**window, VOILUTFunction="SIGMOID", PhotometricInterpretation="MONOCHROME1"),
        dicom(colour),
        dicom(np.concatenate([VALUES] * 2), Rows=1, NumberOfFrames=2, RescaleSlope=None,
              RescaleIntercept=None, SharedFunctionalGroupsSequence=frames[:1],
              PerFrameFunctionalGroupsSequence=frames),
    ]  # fmt: skip
    files = [{"x.dcm": content} for content in made]
    return files, _read_pictures([Pixels(), Pixels(window=(-1000, 400))])


def read_data_set(name: str) -> Callable[[], tuple[list[dict[str, bytes]], Callable[[Path], None]]]:
    """A data set of one format, all of its files, and what `data check` says of it."""

    def target() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
        import tiny_sets
        from test_formats_fuzz import OWN, READING

        from gradcam_eval.core import Sample
        from gradcam_eval.data.check import check_entries
        from gradcam_eval.data.pipeline import read_entry

        root = Path(tempfile.mkdtemp())
        reader, options = (tiny_sets.WRITERS | OWN)[name](root)
        files = {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}
        places = {key: Path(value).relative_to(root) for key, value in options.items()}
        shutil.rmtree(root)

        def read(folder: Path) -> None:
            entries = []
            with _refused():
                entries = list(reader(folder, **{k: folder / v for k, v in places.items()}))
            for entry in entries:
                with _refused():
                    entry.annotate(tiny_sets.SIZE)
                found = read_entry(entry, READING)
                if isinstance(found, Sample):
                    _check_sample(found)
                else:
                    _check_reason(found.reason)
            with _refused():
                for problem in check_entries("x", entries, READING.classes).problems:
                    _check_reason(problem.detail)

        return [files], read

    return target


def _check_reason(text: str) -> None:
    """Raise for a reason that only says which exception came out of Python."""
    _check_length(text)
    assert not re.match(r"\w*(Error|Exception|Interrupt): ", text), text


def _check_sample(sample: Any) -> None:
    image, boxes = sample.image, np.asarray(sample.truth.boxes, float)
    assert image.shape == (5, 5, 3)
    assert np.isfinite(image).all()
    assert 0 <= image.min() <= image.max() <= 255
    assert np.isfinite(boxes).all()
    assert not boxes.size or (boxes.min() >= 0 and boxes.max() <= 5)
    assert all(0 <= each < 1000 for each in sample.labels)


def read_class_files() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Lists of class names, and mappings of names to classes."""
    from gradcam_eval.data.classmap import ClassMap, read_mapping
    from gradcam_eval.models.classes import class_names_from

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        with _refused():
            names = class_names_from(path)
            assert names
            assert all(isinstance(each, str) for each in names)
        with _refused():
            found = read_mapping(path, ClassMap(("cat", "dog")))
            assert all({*found.indices(name)} <= {0, 1} for name in found.explicit)

    names, table = b"cat\ndog\n", b"name,index,class\nhund,1,\npet,0-1;1,\nkatze,,cat\n"
    return [
        {"names.txt": names},
        {"names.csv": table},
        {"c.csv": b"index,name\n0,cat\n1,dog\n"},
    ], read


def read_study_files() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Study files; names are looked up, nothing is run."""
    from gradcam_eval.study.config import load_study

    text = Path(__file__).with_name("quickstart.toml").read_bytes()
    extra = (
        b'name = "x"\nmodels = [{name = "a.keras", values = [0, 1], classes = "c.txt"}]\n'
        b'methods = ["grad_cam", "smooth_grad(samples=4)"]\nlayers = ["last", "stages"]\n'
        b'metrics = ["deletion", {name = "road", protocol = "road2022"}]\ntarget = "label"\n'
        b'[data]\npath = "x"\nformat = "csv"\nwindow = [-1000, 400]\ncount = 3\n'
        b"[cost]\nrounds = 2\nbatch_sizes = [1, 8]\n[analysis]\nlevel = 0.05\n"
    )

    def read(folder: Path) -> None:
        with _refused():
            load_study(folder / "study.toml")

    return [{"study.toml": text}, {"study.toml": extra}], read


def read_results() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """A results folder: its tables and JSON files, read and summarised."""
    from study_folder import Plan, make_study

    from gradcam_eval import stats
    from gradcam_eval.report.caveats import caveats
    from gradcam_eval.report.folder import read_folder
    from gradcam_eval.report.verdict import verdicts_of

    plan = Plan(layers=("a", "b"), methods=("grad_cam", "layer_cam"), samples=("s", "t", "u"))
    root = make_study(Path(tempfile.mkdtemp()) / "toy", plan)
    files = {f.name: f.read_bytes() for f in root.iterdir() if f.is_file()}
    engine = {"engine": "frozen", "ms_per_image": {"frozen": 3.0}}
    kind = {"output": "10 classes", "output_kind": "classes"}
    facts = {"models": {"toy_net": kind}, "engines": {"toy_net": engine}}
    files["environment.json"] = json.dumps(facts).encode()

    def read(folder: Path) -> None:
        with _refused():
            found = read_folder(folder)
            summary = stats.summarise(found.records, seed=found.seed)
            means = summary["mean"].dropna().to_numpy(float)
            assert np.isfinite(means).all(), means
            for model in found.models:
                for said in caveats(found, verdicts_of(found, model), model=model):
                    _check_length(said, 1500)

    return [files], read


def write_reports() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """The same folder with its maps, and the whole page."""
    files, _ = read_results()
    from study_folder import Plan, make_study

    from gradcam_eval.report.html import write_report

    plan = Plan(layers=("a",), methods=("grad_cam",), samples=("s", "t"))
    root = make_study(Path(tempfile.mkdtemp()) / "toy", plan)
    files = [{str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}]
    files[0]["environment.json"] = b'{"models": {"toy_net": {"output": "10 classes"}}}'

    def read(folder: Path) -> None:
        with _refused():
            write_report(folder)

    return files, read


def read_map_files() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Maps of a study, and heatmaps that were saved."""
    from study_folder import Plan, make_study

    from gradcam_eval.methods.heatmap_file import load_heatmaps, save_heatmaps
    from gradcam_eval.methods.heatmaps import Heatmaps
    from gradcam_eval.report.grid import read_maps

    root = make_study(Path(tempfile.mkdtemp()) / "toy", Plan(samples=("s",)))
    (maps,) = (root / "maps").rglob("*.npz")
    values = np.random.default_rng(0).random((2, 4, 5)).astype(np.float32)
    saved = root / "saved.npz"
    save_heatmaps(
        Heatmaps(
            maps={("last", "grad_cam"): values},
            scores=np.ones(2, np.float32),
            image_size=(32, 40),
            classes=(np.array([1, 2]), np.full((2, 3), 1 / 3, np.float32)),
            find_placings=lambda geometry: {"last": None},
        ),
        saved,
    )

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        with _refused():
            found = read_maps(path)
            assert found.image.dtype == np.uint8
            assert found.image.ndim == 3
        with _refused():
            heatmaps = load_heatmaps(path)
            assert heatmaps["last", "grad_cam"].shape == (2, 4, 5)

    plain = io.BytesIO()
    with np.load(saved) as arrays:
        np.savez(plain, **{name: arrays[name] for name in arrays.files})
    contents = (maps.read_bytes(), saved.read_bytes(), plain.getvalue())
    return [{"a.npz": each} for each in contents], read


def read_models() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """Model files of Keras 2 and 3, and their architecture alone."""
    import keras

    from gradcam_eval.models.loading import load_file

    inputs = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(3, 3, activation="relu")(inputs)
    x = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    root = Path(tempfile.mkdtemp())
    files = []
    for suffix in (".keras", ".h5"):
        model.save(root / f"m{suffix}")
        files.append({f"m{suffix}": (root / f"m{suffix}").read_bytes()})
        old = _TESTS / f"models/keras2/operations{suffix}"
        files.append({old.name: old.read_bytes()})
    model.save_weights(root / "w.weights.h5")
    files.append({"w.h5": (root / "w.weights.h5").read_bytes()})

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        with _refused():
            load_file(path)

    return files, read


def read_architectures() -> tuple[list[dict[str, bytes]], Callable[[Path], None]]:
    """The architecture and the metadata inside `.keras` files, the archive itself in order."""
    import zipfile

    files, read_file = read_models()
    parts = []
    for each in files:
        for name, content in each.items():
            if name.endswith(".keras"):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    parts.append({n: archive.read(n) for n in archive.namelist()})

    def read(folder: Path) -> None:
        path = folder / "m.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.iterdir()):
                if file != path:
                    archive.write(file, file.name)
                    file.unlink()
        read_file(folder)

    return parts, read


DATA_SETS = ("folder", "class_folders", "manifest_csv", "manifest_jsonl", "imagenet", "voc", "coco",
             "pets", "cub", "wsol", "wsol_masks")  # fmt: skip
TARGETS: dict[str, Callable[[], tuple[list[dict[str, bytes]], Callable[[Path], None]]]] = {
    **{name: read_data_set(name) for name in DATA_SETS},
    "pictures": read_whole_pictures,
    "reduced": read_reduced_pictures,
    "masks": read_masks,
    "dicom": read_dicom,
    "classes": read_class_files,
    "study": read_study_files,
    "results": read_results,
    "report": write_reports,
    "maps": read_map_files,
    "models": read_models,
    "architectures": read_architectures,
}

_said: Counter[str] = Counter()


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    from gradcam_eval.core import InputError

    try:
        yield
        _said["read"] += 1
    except InputError as error:
        _said["refused"] += 1
        _check_length(str(error))


def _check_length(text: str, most: int = LONGEST) -> None:
    assert len(text) <= most, f"{len(text)} characters: {text[:200]} … {text[-100:]}"


def _peak(*, reset: bool = False) -> float:
    """Return the peak of this process' memory in MB since a reset; 0 without Linux' /proc."""
    if not Path("/proc/self/clear_refs").exists():
        return 0.0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000


def faults(name: str, count: int, seed: int) -> Iterator[str]:
    """Try mutations of one target in this process, and yield a line for each fault."""
    files, read = TARGETS[name]()
    rng = random.Random(f"{name} {seed}")
    seen: Counter[str] = Counter()
    for number in range(count):
        given = dict(rng.choice(files))
        which = rng.choice(sorted(given))
        if len(given) > 1 and rng.random() < 0.05:
            del given[which]
        else:
            given[which] = changed(given[which], rng, which)
        print(f"try {number}", file=sys.stderr, flush=True)
        with warnings.catch_warnings(action="ignore"):
            key, said = _tried(given, read)
        seen[key] += 1
        if key and seen[key] == 1:
            yield f"{name} {number} {which}: {key}: {said}"
    del seen[""]
    print(f"{name}: {count} mutations, {dict(_said)}, faults {dict(seen)}", file=sys.stderr)


def _tried(files: dict[str, bytes], read: Callable[[Path], None]) -> tuple[str, str]:
    """Return what kind of fault the reader has with a folder of these files, and its words."""
    with tempfile.TemporaryDirectory() as place:
        for file, content in files.items():
            path = Path(place) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        before, start = _peak(reset=True), time.perf_counter()
        try:
            read(Path(place))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            frame = next((f for f in reversed(where) if "gradcam_eval" in f.filename), where[-1])
            at = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            return at, str(error)[:400]
        used, taken = _peak() - before, time.perf_counter() - start
    if used > MEGABYTES or taken > SECONDS:
        return "too much", f"{used:.0f} MB, {taken:.1f} s"
    return "", ""


if __name__ == "__main__":
    count, seed, names = sys.argv[1], sys.argv[2], sys.argv[3:] or list(TARGETS)
    if len(names) == 1:
        for line in faults(names[0], int(count), int(seed)):
            print(line, flush=True)
    else:
        for each in names:
            command = [sys.executable, __file__, count, seed, each]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            print(done.stdout, *done.stderr.splitlines()[-1:], sep="", flush=True)
            if done.returncode:
                print(f"{each}: exit {done.returncode}: {done.stderr[-2000:]}", flush=True)
