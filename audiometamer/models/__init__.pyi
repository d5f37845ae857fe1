# The main names of this room, loaded when they are first used.

from .adapters.image_networks import image_model as image_model
from .adapters.joined import joined as joined
from .cards import Card as Card
from .cards import read_card as read_card
from .graphs import graph_model as graph_model
from .loading import load_model as load_model
from .model import Model as Model
from .published_checkpoints import import_checkpoint as import_checkpoint
from .recording import record as record
from .shipped import zoo as zoo
