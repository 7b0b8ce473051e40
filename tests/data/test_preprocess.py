"""Preprocessing: fitted on training rows alone, exact, and saved with the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import decomposition, impute
from sklearn import preprocessing as sk
from torch import Tensor

from nnzoo.config.data_options import SeriesOptions
from nnzoo.config.preprocess_options import ScaleOptions, SeriesPreprocess, TablePreprocess
from nnzoo.config.split_options import TimeSplit
from nnzoo.data.data_spec import ColumnSpec, DataSpec, InputSpec
from nnzoo.data.dataset import Dataset, Split, TensorSplit
from nnzoo.data.preprocess import (
    PCA,
    Impute,
    OneHot,
    Preprocess,
    QuantileScale,
    Scale,
    SmoothClip,
    target_scale,
)
from nnzoo.data.series import Series, windows
from nnzoo.errors import ConfigError


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fitted(scale: Scale, x: Tensor) -> Scale:
    scale.fit(x)
    return scale


@pytest.mark.parametrize("how", ["standardize", "minmax"])
@pytest.mark.parametrize("rows", [3, 20_000])  # more rows than one piece holds
def test_scale_equals_scikit_learns(how: str, rows: int) -> None:
    x = numbers(rows, 4) * torch.tensor([1.0, 1e6, 1e-3, 1.0]) + torch.tensor([0.0, 5.0, 5.0, 1e6])
    scaler = sk.StandardScaler() if how == "standardize" else sk.MinMaxScaler()
    expected = torch.from_numpy(scaler.fit_transform(x.numpy()))
    torch.testing.assert_close(fitted(Scale(4, how), x)(x), expected, rtol=1e-7, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(
    how=st.sampled_from(["standardize", "minmax", "none"]),
    offset=st.floats(-1e9, 1e9),
    size=st.floats(1e-3, 1e6),
    seed=st.integers(0, 1000),
)
def test_inverse_undoes_a_scale(how: str, offset: float, size: float, seed: int) -> None:
    x = numbers(50, 2, seed=seed) * size + offset
    scale = fitted(Scale(2, how), x)
    assert scale.inverse(scale(x)).sub(x).abs().max() <= 1e-9 * (abs(offset) + size)


def test_a_robust_scale_is_scikit_learns_and_takes_half_the_range_where_the_quartiles_meet() -> (
    None
):
    x = numbers(101, 3) * torch.tensor([1.0, 1e6, 1e-3]) + torch.tensor([0.0, 5.0, 1e3])
    expected = torch.from_numpy(sk.RobustScaler().fit_transform(x.numpy()))
    torch.testing.assert_close(fitted(Scale(3, "robust"), x)(x), expected, rtol=1e-7, atol=1e-8)
    mostly_zero = torch.tensor([[0.0], [0.0], [0.0], [0.0], [8.0]]).double()
    assert fitted(Scale(1, "robust"), mostly_zero)(mostly_zero)[:, 0].tolist() == [0, 0, 0, 0, 2]


def test_a_quantile_scale_is_close_to_scikit_learns_between_the_training_rows() -> None:
    x = numbers(20_000, 2).exp() * torch.tensor([1.0, 1e6])
    scaler = sk.QuantileTransformer(
        n_quantiles=256, output_distribution="normal", subsample=None, random_state=0
    )
    expected = torch.from_numpy(scaler.fit_transform(x.numpy()))
    scaled = fitted(QuantileScale(2), x)(x)
    inside = expected.abs() < 2
    assert (scaled - expected)[inside].abs().max() < 0.02
    assert scaled.abs().max() < 3
    assert torch.equal(scaled.argsort(0)[100:-100], x.argsort(0)[100:-100])


def test_a_quantile_scale_gives_tied_values_the_mean_of_their_quantiles() -> None:
    x = torch.cat([torch.zeros(300, 1), torch.ones(300, 1)]).double()
    low, high = fitted(QuantileScale(1), x)(torch.tensor([[0.0], [1.0]]).double())[:, 0].tolist()
    assert low == pytest.approx(-((2 / torch.pi) ** 0.5), abs=0.01)  # the mean of a half-normal
    assert high == pytest.approx(-low, abs=1e-9)
    constant = torch.full((5, 1), 7.0).double()
    assert fitted(QuantileScale(1), constant)(constant + 1).abs().max() < 1e-12


def test_a_soft_limit_keeps_small_numbers_their_order_and_other_columns() -> None:
    x = torch.tensor([[-1e9, 5.0], [-3.0, 5.0], [0.01, 5.0], [3.0, 5.0], [1e9, 5.0]]).double()
    y = SmoothClip(1, 3.0)(x)
    expected = [-3.0, -3 / 2**0.5, 0.01, 3 / 2**0.5, 3.0]
    assert y[:, 0].tolist() == pytest.approx(expected, rel=1e-5)
    assert y[:, 1].tolist() == [5.0] * 5


@pytest.mark.parametrize("how", ["standardize", "minmax"])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e9, 1e-300])
def test_a_feature_that_never_changes_only_loses_its_mean(how: str, value: float) -> None:
    x = torch.full((1001, 1), value, dtype=torch.float64)
    scale = fitted(Scale(1, how), x)
    assert scale.spread.item() == 1
    assert scale(x).abs().max() <= 1e-12 * abs(value)
    assert scale(x + 2).sub(2).abs().max() < 1e-5


@pytest.mark.parametrize("how", ["standardize", "minmax"])
@pytest.mark.parametrize("channels", [1, 3])
def test_uint8_images_are_scaled_by_channel_exactly_as_their_floats(
    how: str, channels: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(0, 256, (40, channels, 5, 7), generator=generator, dtype=torch.uint8)
    x[:, 0] //= 3
    scale = fitted(Scale(channels, how, axis=1), x)
    as_floats = fitted(Scale(channels, how, axis=1), x.double())
    torch.testing.assert_close(scale.shift, as_floats.shift, rtol=1e-13, atol=0)
    torch.testing.assert_close(scale.spread, as_floats.spread, rtol=1e-13, atol=0)
    flat = x.double().movedim(1, -1).reshape(-1, channels)
    expected = flat.mean(0) if how == "standardize" else flat.amin(0)
    torch.testing.assert_close(scale.shift, expected)
    y = scale(x)
    assert y.dtype == torch.float32
    assert y.shape == x.shape
    if how == "standardize":
        assert y.mean((0, 2, 3)).abs().max() < 1e-5
        torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(channels))
    else:
        assert (y.amin(), y.amax()) == (0, 1)


def test_black_images_stay_black() -> None:
    x = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    assert not fitted(Scale(1, "standardize", axis=1), x)(x).any()


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("rows", [30, 9000])
def test_pca_equals_scikit_learns_up_to_sign(whiten: bool, rows: int) -> None:
    x = numbers(rows, 6) @ numbers(6, 6, seed=1) + 100
    pca = PCA(6, 3, whiten)
    pca.fit(x)
    other = decomposition.PCA(3, whiten=whiten, svd_solver="full").fit(x.numpy())
    expected, got = torch.from_numpy(other.transform(x.numpy())), pca(x)
    signs = (expected * got).sum(0).sign()
    torch.testing.assert_close(got * signs, expected, rtol=1e-6, atol=1e-6)


def test_the_sign_of_a_component_is_that_of_its_largest_entry() -> None:
    x = numbers(50, 5)
    pca, mirrored = PCA(5, 5, False), PCA(5, 5, False)
    pca.fit(x)
    mirrored.fit(-x)
    torch.testing.assert_close(pca.components, mirrored.components)
    largest = pca.components.abs().argmax(0, keepdim=True)
    assert (pca.components.gather(0, largest) > 0).all()


def test_whitening_ignores_directions_without_variance() -> None:
    x = numbers(50, 2) @ numbers(2, 4, seed=1)  # of rank 2
    pca = PCA(4, 4, True)
    pca.fit(x)
    assert pca(x)[:, 2:].abs().max() == 0
    assert pca(numbers(5, 4, seed=2)).isfinite().all()
    constant = PCA(2, 2, True)
    constant.fit(torch.ones(5, 2, dtype=torch.float64))
    assert not constant(torch.ones(5, 2, dtype=torch.float64)).any()


@pytest.mark.parametrize("how", ["mean", "median", "zero"])
def test_missing_numbers_become_the_training_rows_value(how: str) -> None:
    x = numbers(21, 3)
    x[::4, 0] = x[3, 2] = torch.nan
    step = Impute(2, how)  # the third column holds category codes, and stays
    step.fit(x)
    strategy: dict[str, Any] = (
        {"strategy": how} if how != "zero" else {"strategy": "constant", "fill_value": 0}
    )
    expected = impute.SimpleImputer(**strategy).fit_transform(x[:, :2].numpy())
    torch.testing.assert_close(step(x)[:, :2], torch.from_numpy(expected))
    torch.testing.assert_close(step(x)[:, 2], x[:, 2], equal_nan=True)


def test_the_median_of_an_even_number_of_values_lies_between_the_middle_two() -> None:
    x = torch.tensor([[1.0, 5.0], [2.0, torch.nan], [3.0, torch.nan], [10.0, torch.nan]]).double()
    step = Impute(2, "median")
    step.fit(x)
    assert step.fill.tolist() == [2.5, 5.0]
    expected = impute.SimpleImputer(strategy="median").fit(x.numpy())
    assert step.fill.tolist() == expected.statistics_.tolist()


@pytest.mark.parametrize("how", ["mean", "median", "zero"])
def test_a_number_that_is_always_missing_becomes_zero(how: str) -> None:
    x = torch.full((4, 1), torch.nan, dtype=torch.float64)
    step = Impute(1, how)
    step.fit(x)
    assert not step(x).any()


def test_categories_become_columns_and_unknown_ones_all_zero() -> None:
    x = torch.tensor([[0.5, 0, 1], [0.6, 2, 0], [0.7, -1, -1]], dtype=torch.float64)
    assert OneHot(1, [3, 2])(x).tolist() == [
        [0.5, 1, 0, 0, 0, 1],
        [0.6, 0, 0, 1, 1, 0],
        [0.7, 0, 0, 0, 0, 0],
    ]


def table(rows: int = 40) -> tuple[DataSpec, Tensor]:
    x = numbers(rows, 3)
    x[:, 2] = torch.arange(rows) % 4 - 1
    x[0, 0] = torch.nan
    columns = [ColumnSpec("a"), ColumnSpec("b"), ColumnSpec("c", ["u", "v", "w"])]
    return DataSpec(InputSpec("table", (3,)), "regression", columns=columns), x


def image_spec(*shape: int) -> DataSpec:
    return DataSpec(InputSpec("image", shape), "classification")


def split_of(x: Tensor) -> Split:
    return TensorSplit(x, torch.zeros(len(x), dtype=torch.int64))


CASES = {
    "table": (TablePreprocess(), *table()),
    "table pca": (TablePreprocess(pca=2, whiten=True, scale="minmax"), *table()),
    "table robust": (TablePreprocess(scale="robust", clip=3.0), *table()),
    "table quantile": (TablePreprocess(scale="quantile", clip=3.0, pca=2), *table()),
    "image": (ScaleOptions(), image_spec(3, 4, 5), numbers(9, 3, 4, 5).mul(60).byte()),
    "image pca": (ScaleOptions(pca=4), image_spec(1, 4, 5), numbers(9, 1, 4, 5).mul(60).byte()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_state_dict_fills_a_preprocess_that_never_saw_data(case: str) -> None:
    options, spec, x = CASES[case]
    preprocess, fresh = Preprocess(options, spec), Preprocess(options, spec)
    preprocess.fit(split_of(x))
    assert not torch.equal(fresh(x), preprocess(x))
    fresh.load_state_dict(preprocess.state_dict())
    assert torch.equal(fresh(x), preprocess(x))


@pytest.mark.parametrize("case", CASES)
def test_output_spec_is_the_shape_and_type_of_what_comes_out(case: str) -> None:
    options, spec, x = CASES[case]
    preprocess = Preprocess(options, spec)
    preprocess.fit(split_of(x))
    y = preprocess(x)
    assert y.shape == (len(x), *preprocess.output_spec.shape)
    assert y.dtype == torch.float32
    assert y.isfinite().all()


def test_every_step_is_fitted_on_what_the_step_before_gives() -> None:
    spec, x = table()
    preprocess = Preprocess(TablePreprocess(pca=2), spec)
    preprocess.fit(split_of(x))
    raw = x.numpy()
    filled = np.where(np.isnan(raw[:, :2]), np.nanmean(raw[:, :2], 0), raw[:, :2])
    scaled = sk.StandardScaler().fit_transform(filled)
    codes = sk.OneHotEncoder(
        categories=[[0.0, 1.0, 2.0]], handle_unknown="ignore", sparse_output=False
    )
    whole = np.hstack([scaled, codes.fit_transform(raw[:, 2:])])
    expected = torch.from_numpy(decomposition.PCA(2).fit_transform(whole)).float()
    got = preprocess(x)
    torch.testing.assert_close(got * (got * expected).sum(0).sign(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", ["values", "wanted"])
def test_series_are_scaled_by_their_training_steps_each_counted_once(target: str) -> None:
    values = numbers(50, 2).numpy() + np.arange(50)[:, None]
    split = TimeSplit(val=10, test=10)
    options = SeriesOptions(name="series", path="", window=4, horizon=2, split=split)
    dataset = windows([Series(values)], [ColumnSpec("a"), ColumnSpec("b")], ["a"], options)
    if target == "values":
        preprocess = Preprocess(SeriesPreprocess(), dataset.spec)
        preprocess.fit(dataset.splits["train"])
        scale: Any = preprocess.get_submodule("scale")
    else:
        scale = target_scale(SeriesPreprocess(), dataset)
    seen = values[:30, : len(scale.shift)]
    torch.testing.assert_close(scale.shift, torch.from_numpy(seen.mean(0)))
    torch.testing.assert_close(scale.spread, torch.from_numpy(seen.std(0)))


def test_classes_have_no_target_scale() -> None:
    splits: Any = {"train": split_of(numbers(3, 1))}
    dataset = Dataset(DataSpec(InputSpec("table", (1,)), "classification", ["a", "b"]), splits)
    assert target_scale(TablePreprocess(), dataset) is None


def test_more_components_than_features_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.preprocess\.pca +21 components of 20 features"):
        Preprocess(ScaleOptions(pca=21), image_spec(1, 4, 5))
    with pytest.raises(ConfigError, match="30000 features are too many"):
        Preprocess(ScaleOptions(pca=2), image_spec(3, 100, 100))
