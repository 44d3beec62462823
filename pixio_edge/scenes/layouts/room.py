"""Rooms that people live and work in."""

from __future__ import annotations

from pixio_edge.scenes.indoors import mixes
from pixio_edge.scenes.indoors.dressing import along_walls, below_ceiling, clutter, on_floor, on_walls
from pixio_edge.scenes.indoors.groups import dining, lounge, media, sleeping, workplace
from pixio_edge.scenes.indoors.openings import add_doors, add_windows
from pixio_edge.scenes.indoors.rooms import Room, make_room
from pixio_edge.scenes.indoors.setting import set_against, stand
from pixio_edge.scenes.indoors.shells import add_relief, add_shell, shell_looks
from pixio_edge.scenes.indoors.viewpoints import room_views
from pixio_edge.scenes.kit import Kit
from pixio_edge.scenes.light import room_light
from pixio_edge.scenes.scene import Scene

_PICTURES = (
    "wall_picture",
    "wall_picture",
    "wall_picture",
    "posters",
    "posters",
    "board",
    "wall_shelf",
    "wall_shelf",
    "television",
    "coat_rack",
    "mirror",
    "wall_detail",
    "wall_detail",
    "wall_lamp",
    "air_conditioner",
)


# What may stand anywhere on the floor.
_FREE = (
    "room_thing",
    "room_thing",
    "floor_plant",
    "floor_lamp",
    "seat",
    "seat",
    "low_table",
    "round_table",
    "armchair",
    "cardboard",
    "shelf",
    "bench",
)


def begin_room(
    kit: Kit,
    kind: str,
    width: tuple[float, float],
    length: tuple[float, float],
    *,
    tiles: float = 0.1,
    doors: int = 2,
    corner: float = 0.3,
    heated: float = 0.5,
) -> tuple[Scene, Room]:
    """A scene with an empty room: shell, doors, windows, light.

    Args:
        kit: Draws it.
        kind: Name of the layout.
        width: Range along x, metres.
        length: Range along y.
        tiles: How often the lower walls are tiled.
        doors: Most doors.
        corner: How often the room is L-shaped.
        heated: How often a window has a radiator below it.
    """
    scene = Scene(kind)
    height = kit.uniform(2.3, 2.9) if kit.chance(0.8) else kit.uniform(2.9, 3.8)
    room = make_room(kit, kit.uniform(*width), kit.uniform(*length), height, corner=corner)
    looks = shell_looks(kit, tiles=tiles)
    add_doors(kit, scene, room, looks, kit.integer(1, doors))
    add_windows(kit, scene, room, kit.integer(0, 3), heated=heated)
    add_relief(kit, scene, room, looks)
    room_light(kit, scene, (*room.low, 0.0), (*room.high, room.height))
    add_shell(kit, scene, room, looks)
    return scene, room


def finish_room(
    kit: Kit, scene: Scene, room: Room, *, pictures: tuple[int, int] = (3, 14), loose: tuple[int, int] = (2, 14)
) -> Scene:
    """What every room has besides its furniture: things on walls, floor and ceiling; and the cameras."""
    area = (room.high[0] - room.low[0]) * (room.high[1] - room.low[1])
    for _ in range(kit.integer(0, 2) + int(area * kit.uniform(0.05, 0.3))):
        if kit.chance(0.75):
            placed = stand(kit, scene, room, kit.pick(_FREE), yaw=None if kit.chance(0.6) else kit.normal(0.0, 0.1))
            clutter(kit, scene, placed, mixes.TABLE, (0.1, 0.6), most=10)
        else:
            clutter(kit, scene, set_against(kit, scene, room, kit.pick(("wall_thing", "floor_plant"))), mixes.SHELF)
    on_walls(kit, scene, room, kit.integer(*pictures), _PICTURES)
    on_floor(kit, scene, room, kit.integer(*loose) + int(area * kit.uniform(0.0, 0.3)))
    below_ceiling(kit, scene, room)
    for _ in range(kit.integer(1, 2) if kit.chance(0.2) else 0):
        stand(kit, scene, room, "pedestrian")
    scene.cameras = room_views(kit, scene, room)
    return scene


def living(kit: Kit) -> Scene:
    """Living room: sofas, a low table, shelves, a television, perhaps a dining table."""
    scene, room = begin_room(kit, "living", (3.0, 7.0), (3.0, 8.5))
    lounge(kit, scene, room)
    media(kit, scene, room)
    if kit.chance(0.5):
        dining(kit, scene, room)
    if kit.chance(0.4):
        lounge(kit, scene, room)
    along_walls(
        kit,
        scene,
        room,
        ("bookcase", "shelf", "storage", "bookcase", "low_table", "armchair"),
        count=kit.integer(4, 10),
    )
    if kit.chance(0.3):
        workplace(kit, scene, room)
    return finish_room(kit, scene, room)


def bedroom(kit: Kit) -> Scene:
    """Bedroom: bed, wardrobe, chest of drawers, a chair with clothes, perhaps a desk."""
    scene, room = begin_room(kit, "bedroom", (2.6, 5.2), (2.8, 6.0))
    sleeping(kit, scene, room)
    if kit.chance(0.2):
        sleeping(kit, scene, room)
    along_walls(kit, scene, room, ("storage", "storage", "bookcase", "shelf", "low_table"), count=kit.integer(3, 8))
    if kit.chance(0.55):
        workplace(kit, scene, room)
    chair = set_against(kit, scene, room, "seat")
    if chair is not None and kit.chance(0.5):
        kit.place(scene, "cloth_heap", (chair.shift[0], chair.shift[1], 0.46), kit.uniform(-3, 3), scale=0.8)
    return finish_room(kit, scene, room)


def office(kit: Kit) -> Scene:
    """Office or laboratory: desks at walls and back to back, shelves, boards, boxes."""
    scene, room = begin_room(kit, "office", (3.0, 8.0), (3.0, 9.0))
    for _ in range(kit.integer(2, 8)):
        workplace(kit, scene, room, free=kit.chance(0.35))
    along_walls(
        kit, scene, room, ("bookcase", "bookcase", "storage", "shelf", "rack", "table"), count=kit.integer(3, 10)
    )
    if kit.chance(0.3):
        dining(kit, scene, room, mixes.DESK)
    if kit.chance(0.25):
        stand(kit, scene, room, "partition")
    on_walls(kit, scene, room, kit.integer(0, 2), ("board", "posters"))
    return finish_room(kit, scene, room)


def meeting(kit: Kit) -> Scene:
    """Dining room, meeting room, canteen or class room: tables with chairs."""
    scene, room = begin_room(kit, "meeting", (3.0, 8.0), (3.5, 9.0))
    for _ in range(kit.integer(1, 5)):
        dining(kit, scene, room, mixes.TABLE if kit.chance(0.6) else mixes.DESK)
    along_walls(kit, scene, room, ("storage", "shelf", "table", "seat", "bookcase"), count=kit.integer(2, 9))
    on_walls(kit, scene, room, kit.integer(0, 2), ("board", "television"))
    return finish_room(kit, scene, room, loose=(0, 8))


def store(kit: Kit) -> Scene:
    """Store, workshop, garage or cellar: racks, benches, boxes, pipes."""
    scene, room = begin_room(kit, "store", (2.6, 8.0), (3.0, 12.0))
    along_walls(
        kit,
        scene,
        room,
        ("rack", "rack", "shelf", "storage", "table"),
        count=kit.integer(4, 10),
        mix=mixes.STORE if kit.chance(0.6) else mixes.TOOLS,
    )
    for _ in range(kit.integer(0, 3)):
        clutter(kit, scene, stand(kit, scene, room, kit.pick(("table", "rack", "island"))), mixes.STORE, (0.2, 0.6))
    if kit.chance(0.3):
        stand(kit, scene, room, "pillar")
    return finish_room(kit, scene, room, loose=(8, 26))


def bathroom(kit: Kit) -> Scene:
    """Bathroom: small, tiled, with fixtures."""
    scene, room = begin_room(kit, "bathroom", (1.7, 3.2), (1.8, 3.6), tiles=0.85, doors=1)
    for kind in ("bathtub", "toilet", "washbasin", "white_goods", "storage", "shelf"):
        if kit.chance(0.75):
            placed = set_against(kit, scene, room, kind, beside=0.6)
            on_walls(kit, scene, room, 1, ("towel", "mirror", "wall_shelf"))
            clutter(kit, scene, placed, {"bottle": 4, "cloth_heap": 0.3}, (0.1, 0.5), most=8)
    return finish_room(kit, scene, room, pictures=(2, 8), loose=(0, 4))


def room(kit: Kit) -> Scene:
    """Any of these rooms."""
    kinds = {"living": 4.0, "bedroom": 3.0, "office": 4.0, "meeting": 2.0, "store": 1.2, "bathroom": 0.7}
    makers = {
        "living": living,
        "bedroom": bedroom,
        "office": office,
        "meeting": meeting,
        "store": store,
        "bathroom": bathroom,
    }
    return makers[kit.weighted(kinds)](kit)
