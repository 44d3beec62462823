"""What lies where: weights of categories (or names) of things for tables, shelves, counters and floors."""

Mix = dict[str, float]

DESK: Mix = {
    "book": 3,
    "books": 1,
    "paper": 3,
    "kitchenware": 1.5,
    "bottle": 1,
    "electronics": 2,
    "stationery": 2,
    "cable": 0.7,
}
TABLE: Mix = {"kitchenware": 3, "bottle": 2, "food": 2, "book": 2, "paper": 1, "toy": 0.7, "electronics": 0.7}
SHELF: Mix = {"book": 2, "books": 3, "bottle": 1, "kitchenware": 1, "food": 0.5, "toy": 1, "electronics": 1}
COUNTER: Mix = {"kitchenware": 4, "bottle": 3, "food": 3, "book": 0.3}
FLOOR: Mix = {"cardboard": 2, "crate": 1, "bin": 0.7, "cloth_heap": 1, "book": 0.7, "toy": 1, "computer": 0.3}
STORE: Mix = {"cardboard": 3, "crate": 1, "bottle": 1, "books": 1, "food": 1, "electronics": 1}
ANY: Mix = {"kitchenware": 2, "bottle": 2, "food": 2, "book": 2, "books": 1, "paper": 0.7, "toy": 2, "electronics": 1.5}
SMALL: Mix = {"food": 2, "toy": 2, "stationery": 1.5, "kitchenware": 1, "bottle": 1, "paper": 0.5, "electronics": 0.7}
TOYS: Mix = {"toy": 4, "book": 1, "kitchenware": 0.7, "food": 0.7}
