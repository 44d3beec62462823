"""What lies where: weights of categories (or names) of things for tables, shelves, counters and floors."""

Mix = dict[str, float]

DESK: Mix = {
    "book": 3,
    "books": 1,
    "paper": 2.5,
    "kitchenware": 1.5,
    "bottle": 1,
    "electronics": 2.5,
    "stationery": 2,
    "cable": 0.7,
    "lamp": 0.8,
    "plant": 0.5,
    "decor": 0.7,
    "tool": 0.3,
}
TABLE: Mix = {
    "kitchenware": 3,
    "bottle": 2,
    "food": 2,
    "book": 2,
    "paper": 1,
    "toy": 0.7,
    "electronics": 0.8,
    "decor": 1,
    "plant": 0.7,
    "lamp": 0.4,
    "container": 0.4,
}
SHELF: Mix = {
    "book": 2,
    "books": 3,
    "bottle": 1,
    "kitchenware": 1,
    "food": 0.5,
    "toy": 1,
    "electronics": 1,
    "decor": 2,
    "plant": 1,
    "lamp": 0.5,
    "container": 1,
}
COUNTER: Mix = {"kitchenware": 5, "appliance": 2, "bottle": 3, "food": 3, "book": 0.3, "plant": 0.5, "container": 0.4}
FLOOR: Mix = {
    "cardboard": 2,
    "crate": 1,
    "bin": 0.8,
    "cloth_heap": 1,
    "book": 0.7,
    "toy": 1,
    "computer": 0.4,
    "plant": 1,
    "container": 0.7,
    "tool": 0.4,
    "bottle": 0.2,
}
STORE: Mix = {
    "cardboard": 2,
    "crate": 1,
    "bottle": 1,
    "books": 0.7,
    "food": 0.7,
    "electronics": 1,
    "tool": 3,
    "container": 1.5,
    "decor": 0.4,
}
ANY: Mix = {
    "kitchenware": 2,
    "bottle": 2,
    "food": 2,
    "book": 2,
    "books": 1,
    "paper": 0.7,
    "toy": 2,
    "electronics": 1.5,
    "decor": 2,
    "tool": 1.5,
    "plant": 0.7,
    "lamp": 0.5,
    "container": 0.7,
    "appliance": 0.6,
}
SMALL: Mix = {
    "food": 2,
    "toy": 2,
    "stationery": 1.5,
    "kitchenware": 1,
    "bottle": 1,
    "paper": 0.5,
    "electronics": 0.7,
    "tool": 1,
}
TOYS: Mix = {"toy": 4, "book": 1, "kitchenware": 0.7, "food": 0.7, "decor": 0.5}
DECOR: Mix = {"decor": 4, "plant": 1, "book": 1, "books": 0.7, "lamp": 1, "bottle": 1, "kitchenware": 1, "toy": 0.7}
TOOLS: Mix = {"tool": 5, "container": 1, "bottle": 1, "cable": 1, "paper": 0.5, "electronics": 1, "cardboard": 0.3}
