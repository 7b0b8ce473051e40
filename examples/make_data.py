"""Write five data sets to try nnzoo on: passengers.csv, sales.csv, photos/, gestures/ and messages.csv.

python examples/make_data.py [FOLDER]

All of it is made up, and looks like what people have: ids, names, gaps and a target in the middle of
a table; the days of four shops that close on Sundays; photographs of different sizes; recordings of a wrist of different
lengths; messages to a shop.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FIRST_NAMES = [
    "Anna",
    "Bruno",
    "Chiara",
    "Dmitri",
    "Elena",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jun",
]
LAST_NAMES = ["Almeida", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad"]
SHOPS = {"Basel": 80, "Bern": 110, "Geneva": 150, "Zurich": 280}
SHAPES = ("arrow", "circle", "square")


def passengers(folder: Path, rng: np.random.Generator) -> None:
    """850 passengers of a ship with `survived` in the middle, and 50 more without it."""
    header = ["id", "class", "name", "sex", "age", "survived", "siblings", "ticket", "fare", "port"]
    rows = []
    for i in range(900):
        sex = str(rng.choice(["male", "female"], p=[0.64, 0.36]))
        cabin_class = int(rng.choice([1, 2, 3], p=[0.24, 0.21, 0.55]))
        age = max(1.0, rng.normal(30, 14))
        logit = 1.2 * (sex == "female") * 2 - 0.8 * (cabin_class - 2) - 0.03 * (age - 30) - 0.9
        survived = int(rng.random() < 1 / (1 + np.exp(-1.4 * logit)))
        name = f"{rng.choice(LAST_NAMES)}, {rng.choice(FIRST_NAMES)} {chr(65 + i % 26)}. {i}"
        shown_age = "" if rng.random() < 0.2 else f"{age:.0f}"
        fare = f"{np.exp(4.4 - 0.8 * cabin_class + rng.normal(0, 0.4)):.2f}"
        ticket = f"{rng.choice(['A/5', 'PC', 'C.A.'])} {rng.integers(1000, 400000)}"
        port = str(rng.choice(["Cherbourg", "Queenstown", "Southampton"], p=[0.19, 0.09, 0.72]))
        siblings = int(rng.choice([0, 1, 2, 3], p=[0.68, 0.23, 0.06, 0.03]))
        rows.append(
            [i + 1, cabin_class, name, sex, shown_age, survived, siblings, ticket, fare, port]
        )
    write(folder / "passengers.csv", header, rows[:850])
    del header[5]
    write(folder / "new_passengers.csv", header, [row[:5] + row[6:] for row in rows[850:]])


def sales(folder: Path, rng: np.random.Generator) -> None:
    """Two years of sales per day of four shops, without Sundays and without 2 % of the other days."""
    rows: list[tuple[str, str, int, str]] = []
    for shop, level in SHOPS.items():
        for i in range(730):
            day = date(2024, 1, 1) + timedelta(days=i)
            if day.weekday() == 6 or rng.random() < 0.02:
                continue
            promotion = int(rng.random() < 0.1)
            week = [0.9, 0.8, 0.85, 1.0, 1.2, 1.4][day.weekday()]
            year = 1 + 0.15 * np.sin(2 * np.pi * i / 365)
            value = level * week * year * (1 + 0.3 * promotion) + rng.normal(0, 0.06 * level)
            rows.append((day.isoformat(), shop, promotion, f"{value:.0f}"))
    rows.sort(key=lambda row: row[0])
    write(folder / "sales.csv", ["date", "shop", "promotion", "sales"], rows)


def photos(folder: Path, rng: np.random.Generator, count: int) -> None:
    """Photographs of three shapes, a folder for each, half of them turned as phones do."""
    for i in range(count):
        shape = SHAPES[i % 3]
        width, height = [(400, 300), (300, 400), (320, 320)][int(rng.integers(3))]
        noise = Image.fromarray((rng.random((12, 16, 3)) * 255).astype(np.uint8))
        image = noise.resize((width, height), Image.Resampling.BICUBIC)
        image = image.filter(ImageFilter.GaussianBlur(3))
        x, y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.6)
        size = min(width, height) * rng.uniform(0.22, 0.35)
        color = tuple(int(integer) for integer in rng.integers(0, 255, 3))
        draw = ImageDraw.Draw(image)
        corners = [x - size, y - size, x + size, y + size]
        if shape == "circle":
            draw.ellipse(corners, fill=color, outline="white", width=4)
        elif shape == "square":
            draw.rectangle(corners, fill=color, outline="white", width=4)
        else:
            points = [(0, -1), (0.6, 0), (0.2, 0), (0.2, 1), (-0.2, 1), (-0.2, 0), (-0.6, 0)]
            draw.polygon(
                [(x + size * a, y + size * b) for a, b in points], fill=color, outline="white"
            )
        path = folder / "photos" / shape / f"IMG_{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if i % 2:  # held upright: the pixels are rotated, and an EXIF tag records it
            exif[0x0112] = 6
            image = image.transpose(Image.Transpose.ROTATE_90)
        image.save(path, quality=85, exif=exif)


def gestures(folder: Path, rng: np.random.Generator, count: int) -> None:
    """Acceleration of a wrist along three axes, 50 values per second: a folder per gesture with a file per recording, and
    three more in new/."""
    for i in range(count + 3):
        gesture = ("circle", "shake", "swipe")[i % 3]
        steps = int(rng.integers(40, 121))
        time = np.arange(steps) / 50
        phase = np.linspace(0, 2 * np.pi, steps) * rng.uniform(0.9, 1.1)
        size, sign = rng.uniform(0.5, 1.5), rng.choice([-1, 1])
        if gesture == "circle":
            x, y = np.cos(phase), sign * np.sin(phase)
        elif gesture == "shake":
            x, y = np.sin(2 * np.pi * rng.uniform(3, 5) * time), 0.2 * np.sin(phase)
        else:
            x, y = sign * np.sin(phase) * np.exp(-phase / 3), 0.3 * np.cos(phase / 2)
        axes = size * np.stack([x, y, np.zeros(steps)]) + rng.normal(0, 0.3, (3, steps))
        axes[2] += 1  # gravity
        place = folder / "gestures" / gesture if i < count else folder / "new"
        place.mkdir(parents=True, exist_ok=True)
        rows = [
            [f"{t:.2f}", *(f"{value:.3f}" for value in step)]
            for t, *step in zip(time, *axes, strict=True)
        ]
        write(place / f"recording_{i:03d}.csv", ["time", "x", "y", "z"], rows)


OPENINGS = ["hello", "hi there", "good morning", "dear team", "to whom it may concern", ""]
ORDERS = [
    "my order",
    "order {n}",
    "the blue lamp",
    "the second chair",
    "the parcel",
    "what I bought",
]
TOPICS = {
    "delivery": [
        "{order} has not arrived yet",
        "the courier left {order} with a neighbour",
        "when will {order} be here",
        "the tracking page has shown nothing for {n} days",
    ],
    "invoice": [
        "I was charged twice for {order}",
        "please send the invoice for {order}",
        "the amount on my card is wrong by {n} euros",
        "which account do I pay {order} to",
    ],
    "return": [
        "I would like to send {order} back",
        "{order} is broken and I want another one",
        "how do I get a label to return {order}",
        "the size of {order} does not fit",
    ],
}
CLOSINGS = [
    "please answer soon",
    "thank you very much",
    "I have written to you {n} times",
    "this is the first time that I order here",
    "best regards",
]


def messages(folder: Path, rng: np.random.Generator, count: int) -> None:
    """Messages to a shop with their topic, one per row; some are repeated word for word."""
    rows: list[list[object]] = []
    for i in range(count):
        topic = list(TOPICS)[i % 3]
        parts = [rng.choice(OPENINGS), rng.choice(TOPICS[topic]), *rng.choice(CLOSINGS, 2, False)]
        text = ", ".join(part for part in map(str, parts) if part)
        text = text.replace("{order}", str(rng.choice(ORDERS)))
        rows.append([1000 + i, text.replace("{n}", str(rng.integers(2, 60))), topic])
    rows += [[1000 + count + i, *row[1:]] for i, row in enumerate(rows[: count // 40])]
    write(folder / "messages.csv", ["id", "message", "topic"], rows)


def write(path: Path, header: list[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("examples/data"))
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--recordings", type=int, default=180)
    parser.add_argument("--messages", type=int, default=400)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    passengers(options.folder, rng)
    sales(options.folder, rng)
    photos(options.folder, rng, options.photos)
    gestures(options.folder, np.random.default_rng(1), options.recordings)
    messages(options.folder, np.random.default_rng(2), options.messages)
    print(
        f"{options.folder}: passengers.csv, new_passengers.csv, sales.csv, photos/, gestures/, new/, messages.csv"
    )


if __name__ == "__main__":
    main()
