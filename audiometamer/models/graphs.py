"""A network on a fixed graph as a model of its nodes' features, and how much metamers differ (after Xu et al. 2025).

Nothing here imports PyTorch Geometric: a graph is anything with `x` and `edge_index` as its `Data` has them, a network any module
that takes these two.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import BinaryFeatures, Features
from audiometamer.models.layer_info import declared_layers
from audiometamer.models.model import Model

# Bounds of real features, in standard deviations from their mean: beyond what metamers reach, and such that the noise of the
# check of a model, a twentieth of their distance, has the features' own standard deviation.
_REACH = 10.0


class Graph(Protocol):
    """Nodes with features, and edges, as `torch_geometric.data.Data`."""

    x: Tensor | None
    edge_index: Tensor | None


class OnFixedGraph(nn.Module):
    """A graph network as a function of its nodes' features: a batch of signals is a disjoint union of copies of the graph.

    Parameters
    ----------
    network : Module
        Takes features [shape=(nodes, features)] and edges [shape=(2, edges)]; returns a row for each node. Its attribute
        `layers`, if it has one, names its layers; default: all its submodules.
    edge_index : Tensor [shape=(2, edges)]
        Source and target node of each edge.
    nodes : int
        Number of nodes.
    """

    def __init__(self, network: nn.Module, edge_index: Tensor, nodes: int) -> None:
        super().__init__()
        self.network, self.items_per_signal = network, nodes
        self.register_buffer("edge_index", edge_index, persistent=False)
        layers = declared_layers(network) or {path: path for path, _ in network.named_modules() if path}
        self.layers = {layer: f"network.{path}" for layer, path in layers.items()}
        self.train(network.training)

    def forward(self, features: Tensor) -> Tensor:
        """Features [shape=(batch, nodes, features)] to the network's output [shape=(batch, nodes, ...)]."""
        batch, nodes = features.shape[:2]
        first = nodes * torch.arange(batch, device=features.device)
        edges = (self.get_buffer("edge_index")[:, None] + first[:, None]).flatten(1)
        output: Tensor = self.network(features.flatten(0, 1), edges)
        return output.unflatten(0, (batch, nodes))


def graph_model(
    network: nn.Module, graph: Graph, *, per_feature: bool = False, slope: float = 1.0, name: str | None = None
) -> Model:
    """A model whose signals are features of the nodes of one graph; the graph's own features are its natural signal.

    If these are all 0 or 1, so are the signals, with as many ones (`BinaryFeatures`); otherwise the signals are real and start
    from their moments (`Features`).

    Parameters
    ----------
    network : Module
        See `OnFixedGraph`; in eval mode, without trainable parameters.
    graph : torch_geometric.data.Data
        Graph with features `x` [shape=(nodes, features)] and `edge_index` [shape=(2, edges)].
    per_feature : bool
        Whether each real feature starts from moments of its own. Default False.
    slope : float
        Slope of the sigmoid behind binary features. Default 1.
    name : str, optional
        Default: the network's class.

    Returns
    -------
    Model
        Layers have shape (batch, nodes, ...).

    Raises
    ------
    AudioMetamerError
        If the graph has no features or edges, an edge ends at no node, all features are equal, or the network cannot have
        metamers (see `Model`).
    """
    if graph.x is None or graph.edge_index is None:
        raise AudioMetamerError("the graph has no node features x or no edge_index; a model of node features needs both")
    x, edges = graph.x.detach(), graph.edge_index
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < len(x):
        raise AudioMetamerError(f"edge_index goes from {int(edges.min())} to {int(edges.max())}; the graph has {len(x)} nodes")
    domain: Features | BinaryFeatures
    if ((x == 0) | (x == 1)).all():
        # Wider than the signals: on a bound itself no gradient passes.
        domain, bounds = BinaryFeatures.like(x, slope=slope), (-1.0, 2.0)
    else:
        domain = Features.like(x, per_feature=per_feature)
        mean, std = float(x.double().mean()), float(x.double().std())
        bounds = (mean - _REACH * std, mean + _REACH * std)
    if x.min() == x.max():
        raise AudioMetamerError(f"all node features are {float(x.flatten()[0]):g}; metamers need some that differ")
    return Model(
        OnFixedGraph(network, edges, len(x)),
        signal_shape=tuple(x.shape),
        bounds=bounds,
        domain=domain,
        name=name or type(network).__name__,
    )


def feature_cosine(a: Tensor, b: Tensor) -> float:
    """Mean over nodes of the cosine between their features; a node without features in either counts as 0.

    Parameters
    ----------
    a, b : Tensor [shape=(nodes, features)]
    """
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=1).mean())


def node_labels(features: Tensor) -> list[str]:
    """A label for each node: its binary features, or the number of its largest real one.

    Parameters
    ----------
    features : Tensor [shape=(nodes, features)]
    """
    if ((features == 0) | (features == 1)).all():
        return [" ".join(str(i) for i in row.nonzero()[:, 0].tolist()) for row in features]
    return [str(i) for i in features.argmax(1).tolist()]


def wl_similarity(
    edges_a: Tensor, labels_a: Sequence[str], edges_b: Tensor, labels_b: Sequence[str], *, iterations: int = 2
) -> float:
    """Similarity of two graphs with labelled nodes by the Weisfeiler–Lehman subtree kernel, from 0 to 1.

    A node's label at iteration k is a hash of its own and its neighbours' at k − 1. The kernel is the inner product of the
    graphs' histograms of all labels, those of iteration 0 included (Shervashidze et al. 2011), here divided by the histograms'
    lengths. Equal graphs, and permutations of one graph, have 1; graphs that share no label have 0.

    Parameters
    ----------
    edges_a, edges_b : Tensor [shape=(2, edges)]
        Edges of the two graphs; their directions are ignored.
    labels_a, labels_b : sequence of str
        Labels of the nodes; see `node_labels`.
    iterations : int
        Number of iterations, at least 1. Default 2.

    Raises
    ------
    AudioMetamerError
        If networkx is not installed, or `iterations` is below 1.
    """
    if iterations < 1:
        raise AudioMetamerError(f"iterations is {iterations}; Weisfeiler–Lehman similarity needs at least 1")
    a, b = (_wl_histogram(*graph, iterations) for graph in ((edges_a, labels_a), (edges_b, labels_b)))
    product, of_a, of_b = (sum(p[label] * q[label] for label in p) for p, q in ((a, b), (a, a), (b, b)))
    return float(product / (of_a * of_b) ** 0.5)


def _wl_histogram(edges: Tensor, labels: Sequence[str], iterations: int) -> Counter[str]:
    try:
        import networkx as nx
    except ImportError as error:
        raise AudioMetamerError('Weisfeiler–Lehman similarity needs networkx: pip install "audiometamer[graph]"') from error
    graph = nx.Graph()
    graph.add_nodes_from((node, {"label": label}) for node, label in enumerate(labels))
    graph.add_edges_from(edges.T.tolist())
    hashes = nx.weisfeiler_lehman_subgraph_hashes(graph, node_attr="label", iterations=iterations)
    return Counter([*labels, *(label for own in hashes.values() for label in own)])
