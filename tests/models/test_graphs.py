"""Networks on a fixed graph, their metamers, and how alike graphs are."""

import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import audiometamer as am
from audiometamer.distortions.invariance import measure_invariance
from audiometamer.matching import Cosine, NormalizedDescent
from audiometamer.matching.domains import BinaryFeatures, Features
from audiometamer.models.graphs import feature_cosine, graph_model, node_labels, wl_similarity

with warnings.catch_warnings():
    # Importing PyTorch Geometric scripts a class by means that torch has deprecated.
    warnings.filterwarnings("ignore", message="`torch.jit.script`")
    from torch_geometric.data import Data
    from torch_geometric.datasets import KarateClub
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv

RING = torch.tensor([[0, 1, 2, 3, 4, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 0, 1, 2, 3, 4]])


class Network(nn.Module):
    def __init__(self, convolution=GCNConv, features=3, activation=nn.ReLU):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.final = convolution(features, 4), activation(), nn.Linear(4, 2)
        self.layers = {"conv": "conv", "relu": "relu", "final": "final"}

    def forward(self, x, edges):
        return self.final(self.relu(self.conv(x, edges)))


def ring(seed=0):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Data(x=x, edge_index=RING)


def model_of(graph, **options):
    network = Network(features=graph.x.shape[1], **options)
    return graph_model(network.double().eval().requires_grad_(False), graph)


@pytest.mark.parametrize("convolution", [GCNConv, SAGEConv, GATConv])
def test_a_union_of_graphs_has_the_activations_of_each_graph(convolution):
    model = model_of(ring(), convolution=convolution)
    signals = torch.stack([ring(seed).x for seed in range(3)])
    found = am.record(model, signals, model.layers)
    assert model.layers == ("conv", "relu", "final")
    network = model.network.network
    for i, x in enumerate(signals):
        conv = network.conv(x, RING)
        for layer, expected in (("conv", conv), ("relu", conv.relu()), ("final", network.final(conv.relu()))):
            torch.testing.assert_close(found[layer][i], expected)
    torch.testing.assert_close(model(signals), found["final"])


def test_a_convolution_by_hand():
    """GCN (Kipf & Welling 2017) on a ring of five: every node has degree 3 with itself, so each is the mean of three."""
    model = model_of(ring())
    weight = model.network.network.conv.lin.weight
    x = ring().x
    mean = (x + x.roll(1, 0) + x.roll(-1, 0)) / 3
    torch.testing.assert_close(am.record(model, x[None], "conv")[0], mean @ weight.T)


def test_a_model_knows_what_its_signals_are():
    real, binary = model_of(ring()), model_of(Data(x=torch.eye(5, dtype=torch.float64), edge_index=RING))
    assert isinstance(real.domain, Features)
    assert real.domain.mean == pytest.approx(float(ring().x.mean()))
    assert isinstance(binary.domain, BinaryFeatures)
    assert binary.domain.fraction == pytest.approx(0.2)
    assert real.signal_shape == (5, 3)


def matched(model, target, layer, steps=150):
    return am.match(
        lambda signals: am.record(model, signals, layer, straight_through=True),
        target,
        model.domain.start(model.signal_shape, seeds=range(len(target)), dtype=torch.float64, device="cpu"),
        domain=model.domain,
        optimizer=NormalizedDescent(Cosine(0.3, steps), momentum=0.9),
        steps=steps,
    ).signals


@pytest.mark.parametrize(("layer", "snr_db"), [("conv", 30), ("relu", 30), ("final", 12)])
def test_metamers_of_real_features(layer, snr_db):
    graph = KarateClub()[0]
    graph.x = torch.randn(34, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = model_of(graph)
    target = am.record(model, graph.x[None], layer).expand(2, -1, -1)
    signals = matched(model, target, layer)
    for t, a in zip(target, am.record(model, signals, layer), strict=True):
        assert am.similarity(t, a)["snr_db"] > snr_db
    assert abs(feature_cosine(*signals)) < 0.9


def test_metamers_of_binary_features():
    graph = KarateClub()[0]
    graph.x = graph.x.double()
    model = model_of(graph, convolution=SAGEConv)
    target = am.record(model, graph.x[None], "conv").expand(2, -1, -1)
    signals = matched(model, target, "conv")
    assert signals.sum((1, 2)).tolist() == [34, 34]
    start = model.domain.signals(model.domain.start((34, 34), seeds=[0, 1], dtype=torch.float64, device="cpu"))
    before, after = (am.record(model, s, "conv") for s in (start, signals))
    for i in range(2):
        assert am.similarity(target[i], before[i])["snr_db"] < 1
        assert am.similarity(target[i], after[i])["snr_db"] > 6


def test_active_units_bound_the_rank_of_a_graph_network():
    """Xu et al. (2025): at a ReLU at most the active units, nodes × channels; at an ELU as the convolution before it."""
    graph = ring()
    relu, elu = model_of(graph), model_of(graph, activation=nn.ELU)
    at_relu, at_elu, before = (
        measure_invariance(m, graph.x, layer) for m, layer in ((relu, "relu"), (elu, "relu"), (relu, "conv"))
    )
    active = round(at_relu.units * (1 - at_relu.inactive_share))
    assert 0 < at_relu.rank[0] <= active < at_relu.units == 20
    assert at_elu.rank == before.rank == (15, 15)


@given(st.permutations(range(5)), st.lists(st.sampled_from("abc"), min_size=5, max_size=5))
@settings(max_examples=20, deadline=None)
def test_graphs_that_are_permuted_are_equal(order, labels):
    order = torch.tensor(order)
    permuted = [labels[i] for i in order.argsort()]  # node i becomes node order[i]
    assert wl_similarity(RING, labels, order[RING], permuted) == pytest.approx(1)
    assert wl_similarity(RING, labels, RING, labels) == pytest.approx(1)


def test_similarity_by_hand():
    """Two nodes, a and b, with an edge or without: labels of iteration 0 are shared, those of iteration 1 are not, so of the
    histograms' lengths √4 each, the product is 2: 2 / 4. Graphs that share no label have 0.
    """
    edge, none = torch.tensor([[0, 1], [1, 0]]), torch.zeros(2, 0, dtype=torch.long)
    assert wl_similarity(edge, ["a", "b"], none, ["a", "b"], iterations=1) == pytest.approx(0.5)
    assert wl_similarity(edge, ["a", "b"], edge, ["c", "d"]) == 0
    with pytest.raises(am.AudioMetamerError, match=r"iterations is 0; .* needs at least 1"):
        wl_similarity(edge, ["a", "b"], none, ["a", "b"], iterations=0)


def test_labels_of_nodes_and_cosine_by_hand():
    assert node_labels(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])) == ["0 2", ""]
    assert node_labels(torch.tensor([[0.5, 2.0], [3.0, -4.0]])) == ["1", "0"]
    a = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 1.0]])
    b = torch.tensor([[0.0, 1.0], [6.0, 8.0], [0.0, 0.0]])
    assert feature_cosine(a, b) == pytest.approx(1 / 3)
    assert feature_cosine(a, a) == pytest.approx(1)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (SimpleNamespace(x=None, edge_index=RING), r"the graph has no node features x or no edge_index"),
        (SimpleNamespace(x=torch.eye(3), edge_index=None), r"the graph has no node features x or no edge_index"),
        (SimpleNamespace(x=torch.eye(3), edge_index=RING), r"edge_index goes from 0 to 4; the graph has 3 nodes"),
        (SimpleNamespace(x=torch.ones(5, 3), edge_index=RING), r"all node features are 1; metamers need some that differ"),
    ],
)
def test_a_graph_that_does_not_fit_is_reported_in_a_line(graph, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        graph_model(nn.Identity(), graph)


def test_train_mode_is_reported_in_a_line():
    with pytest.raises(am.AudioMetamerError, match="is in train mode"):
        graph_model(Network().double(), ring())


def test_similarity_without_networkx_is_reported_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(am.AudioMetamerError, match=r"needs networkx: pip install \"audiometamer\[graph\]\""):
        wl_similarity(RING, ["a"] * 5, RING, ["a"] * 5)
