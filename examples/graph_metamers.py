"""How much do graph networks leave out? Metamers of node features, ReLU against ELU against a residual connection.

Small GCN, GraphSAGE and GAT networks are trained on two graphs, then features are made that a layer cannot tell from the graph's
own (after Xu et al. 2025). The first graph is a stochastic block model whose nodes have real features; the second, Zachary's
karate club, whose nodes have binary ones, the number of the node. A metamer passes if it is beyond random pairs of features that
might have been (other draws of the blocks; the club's members numbered in another order) and every node keeps its class. Needs
`pip install "audiometamer[graph]"`; a minute on a core.
"""

import sys

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.datasets import KarateClub
from torch_geometric.nn import GATConv, GCNConv, SAGEConv
from torch_geometric.utils import stochastic_blockmodel_graph

import audiometamer as am
from audiometamer.distortions.invariance import measure_invariance
from audiometamer.matching import Cosine, NormalizedDescent
from audiometamer.metamers.criteria import judge
from audiometamer.models.graphs import feature_cosine, graph_model, node_labels, wl_similarity

CONVOLUTIONS = {"GCN": GCNConv, "GraphSAGE": SAGEConv, "GAT": GATConv}
KINDS = ("ReLU", "ELU", "residual")  # the last with ReLU
LAYERS = ("active0", "active1", "final")
QUICK = "--quick" in sys.argv[1:]
EPOCHS, STEPS, OTHERS = (20, 20, 5) if QUICK else (100, 200, 50)
COMMUNITIES = torch.arange(4).repeat_interleave(15)


class Network(nn.Module):
    """Two convolutions, each with its nonlinearity and perhaps a path around it, and a read-out of each node's class."""

    def __init__(self, convolution: type[nn.Module], kind: str, features: int, classes: int, width: int = 16) -> None:
        super().__init__()
        self.layers = {layer: layer for layer in LAYERS}
        self.residual = kind == "residual"
        self.conv0, self.conv1 = convolution(features, width), convolution(width, width)
        self.around0, self.around1 = nn.Linear(features, width, bias=False), nn.Identity()
        self.relu0, self.relu1 = (nn.ELU() if kind == "ELU" else nn.ReLU() for _ in range(2))
        self.active0, self.active1 = nn.Identity(), nn.Identity()  # what the next convolution is given
        self.final = nn.Linear(width, classes)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        y = self.relu0(self.conv0(x, edges))
        x = self.active0(y + self.around0(x) if self.residual else y)
        y = self.relu1(self.conv1(x, edges))
        x = self.active1(y + self.around1(x) if self.residual else y)
        return self.final(x)


def block_model() -> tuple[Data, list[Tensor]]:
    """Four communities of 15 nodes; 16 features, those of a community with a mean of their own. And other draws of features."""
    torch.manual_seed(0)
    edges = stochastic_blockmodel_graph([15] * 4, (0.25 * torch.eye(4) + 0.02).tolist())
    noise, means = torch.randn(60, 16), torch.randn(4, 16)[COMMUNITIES]
    others = [torch.randn(60, 16) + means for _ in range(OTHERS)]
    return Data(x=noise + means, edge_index=edges, y=COMMUNITIES), others


def karate_club() -> tuple[Data, list[Tensor]]:
    """The graph that ships with PyTorch Geometric; and its features with the members numbered in another order."""
    graph = KarateClub()[0]
    torch.manual_seed(0)
    return graph, [graph.x[torch.randperm(graph.num_nodes)] for _ in range(OTHERS)]


def trained(network: Network, graph: Data) -> nn.Module:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=5e-4)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(graph.x, graph.edge_index), graph.y).backward()
        optimizer.step()
    return network.double().eval().requires_grad_(False)


def classes_of(model: am.Model, features: Tensor) -> list[int]:
    """The class of every node."""
    return model(features[None])[0].argmax(1).tolist()


def report(title: str, graph: Data, others: list[Tensor], convolution: str, kind: str) -> None:
    torch.manual_seed(0)
    network = Network(CONVOLUTIONS[convolution], kind, graph.num_features, int(graph.y.max()) + 1)
    model = graph_model(trained(network, graph), graph)
    natural, shape = graph.x.double(), model.signal_shape
    null = am.NullDistribution.measure(model, others, layers=LAYERS)
    classes = classes_of(model, natural)
    for layer in LAYERS:
        target = am.record(model, natural[None], layer).expand(2, -1, -1)
        found = am.match(
            lambda features, layer=layer: am.record(model, features, layer),
            target,
            model.domain.start(shape, seeds=[0, 1], dtype=torch.float64, device="cpu"),
            domain=model.domain,
            optimizer=NormalizedDescent(Cosine(0.3, STEPS), momentum=0.9),
            steps=STEPS,
        )
        activations = am.record(model, found.signals, layer)
        matches = [am.similarity(t, a) for t, a in zip(target, activations, strict=True)]
        best = max(range(2), key=lambda i: matches[i]["snr_db"])
        metamer, match = found.signals[best], matches[best]
        heard = classes_of(model, metamer)
        passed = judge(match, null.layers[layer], {"nodes": (str(classes), str(heard))}).passed
        same_class = sum(a == b for a, b in zip(classes, heard, strict=True)) / len(classes)
        invariance = measure_invariance(model, natural, layer, exact_up_to=2000, batch_size=100)
        silent = invariance.inactive_share
        cells = (
            title, convolution, kind, layer, f"{match['snr_db']:.1f}", f"{match['spearman_rho']:.3f}",
            f"{same_class:.2f}", "passed" if passed else "failed", f"{feature_cosine(natural, metamer):.2f}",
            f"{wl_similarity(graph.edge_index, node_labels(natural), graph.edge_index, node_labels(metamer)):.2f}",
            "" if silent is None else f"{silent:.2f}", f"{invariance.metamer_dimension[0]} of {invariance.inputs}",
            f"{invariance.effective_rank:.0f}",
        )  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


columns = (
    "graph", "network", "kind", "layer", "SNR (dB)", "ρ", "same class", "verdict", "feature cosine", "WL", "inactive",
    "metamer dimension", "effective rank",
)  # fmt: skip
print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
for title, (graph, others) in (("blocks", block_model()), ("karate", karate_club())):
    for convolution in ["GCN"] if QUICK else CONVOLUTIONS:
        for kind in KINDS:
            report(title, graph, others, convolution, kind)
