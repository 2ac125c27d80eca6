"""The distributions: what is in them, and that they work where nothing of the repository is."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.covers("repo:wheel")
ADAPTERS = sorted(path.parent for path in (ROOT / "adapters").glob("*/pyproject.toml"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels and the source distributions: the library's and the adapters'."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "uv", "--quiet", "build", "--no-build-isolation", "--out-dir", str(folder)]
    for source in (ROOT, *ADAPTERS):
        subprocess.run([*command, "--python", sys.executable, str(source)], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the test lock and the wheels, and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    install = [*uv, "pip", "install", "--python", str(python)]
    subprocess.run(
        [*install, "--require-hashes", "-r", str(ROOT / "requirements" / "test.txt")], check=True, timeout=600
    )
    # The adapters ask for the library, which is found beside them; everything else is there already.
    names = ["interactions-bridge", *(f"interactions-bridge-{adapter.name}" for adapter in ADAPTERS)]
    subprocess.run([*install, "--no-index", "--find-links", str(built), *names], check=True, timeout=120)
    return python


def test_the_wheel_holds_the_package_its_data_and_its_licence(built: Path) -> None:
    """Typed, with the demo's data and both licences, without the tests."""
    (wheel,) = built.glob("interactions_bridge-0*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "bridge/py.typed" in names
    assert "bridge/cli/demo/data/sales.csv" in names
    assert "bridge/cli/demo/data/LICENSE.txt" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("bridge/", "interactions_bridge-"))]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=[adapter.name for adapter in ADAPTERS])
def test_an_adapters_wheel_holds_its_package_and_its_entry_point(built: Path, adapter: Path) -> None:
    """Typed, with its licence, named as an adapter."""
    (wheel,) = built.glob(f"interactions_bridge_{adapter.name}-*.whl")
    archive = zipfile.ZipFile(wheel)
    package = f"bridge_{adapter.name}/"
    assert {f"{package}__init__.py", f"{package}dialect.py", f"{package}py.typed"} <= set(archive.namelist())
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert archive.read(entries).decode().split() == ["[bridge.adapters]", adapter.name, "=", f"bridge_{adapter.name}"]


def test_the_source_distribution_holds_what_building_and_testing_need(built: Path) -> None:
    """The package, the tests and the locks."""
    (sdist,) = built.glob("interactions_bridge-0*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "src/bridge/py.typed", "tests/requirements.py", "requirements/test.txt"} <= names
    assert {f"adapters/{adapter.name}/pyproject.toml" for adapter in ADAPTERS} <= names


def test_a_wheel_can_be_built_from_the_source_distribution(built: Path, tmp_path: Path) -> None:
    """As `pip install` of the source distribution does."""
    (sdist,) = built.glob("interactions_bridge-0*.tar.gz")
    command = [
        sys.executable,
        "-m",
        "uv",
        "--quiet",
        "build",
        "--wheel",
        "--no-build-isolation",
        "--out-dir",
        str(tmp_path),
    ]
    subprocess.run([*command, "--python", sys.executable, str(sdist)], check=True, timeout=300)
    assert list(tmp_path.glob("*.whl"))


def test_part_of_the_tests_passes_against_the_wheel(python: Path, tmp_path: Path) -> None:
    """Those marked `wheel`, run outside of the checkout's source."""
    command = [str(python), "-m", "pytest", "-m", "wheel", "-q", "-p", "no:cacheprovider", str(ROOT / "tests")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(tmp_path / "hypothesis")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout


def test_the_command_of_the_wheel_answers(python: Path, tmp_path: Path) -> None:
    """The console script is installed and shows its help."""
    done = subprocess.run(
        [str(python.parent / "interactions-bridge"), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "serve" in done.stdout
    assert "demo" in done.stdout
