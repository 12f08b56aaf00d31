"""Arrays that stay in their file until somebody looks at them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from encoders.parts.arrays import mapped_arrays

KINDS = st.sampled_from([np.dtype(name) for name in ("float32", "int32", "int64", "bool", "<U7", ">i2")])
ARRAYS = KINDS.flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=5))
)


@given(
    given=st.dictionaries(st.sampled_from(["a", "b_2", "名"]), ARRAYS), compressed=st.booleans(), fortran=st.booleans()
)
def test_arrays_come_back_as_they_were(given: dict[str, NDArray[Any]], compressed: bool, fortran: bool) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.npz"
        written = {name: array.copy(order="F" if fortran else "C") for name, array in given.items()}
        (np.savez_compressed if compressed else np.savez)(file, **written)
        found = mapped_arrays(file)
        assert found.keys() == given.keys()
        for name, array in given.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            np.testing.assert_array_equal(found[name], array)


def test_what_is_mapped_is_not_read_and_outlives_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, many=np.arange(1000))
    found = mapped_arrays(file)["many"]
    assert isinstance(found, np.memmap)
    file.unlink()
    assert found[999] == 999
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_objects_and_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickled"):
        mapped_arrays(tmp_path / "objects.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(zipfile.BadZipFile):
        mapped_arrays(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("a.npy", "no array")
    with pytest.raises(ValueError, match="magic"):
        mapped_arrays(tmp_path / "other.npz")
