"""The values that Tables 1 to 5 of the AGGrGAN paper print, to stand beside one's own."""

from __future__ import annotations

from collections.abc import Iterable

from monai_aggrgan.evaluation.similarity import METRICS

__all__ = [
    "PRINTED",
    "SOURCE",
    "TABLE5",
    "TABLE_NUMBERS",
    "paper_class",
    "paper_dataset",
    "printed_cases",
    "printed_value",
]

SOURCE = (
    "Mukherjee, Saha, Kaplun, Sinitca and Sarkar 2022, Brain tumor image generation using an aggregation of GAN models"
    " with style transfer, Scientific Reports 12, CC BY 4.0"
)
TABLE_NUMBERS = {"figshare": {"methods": 1, "baselines": 3}, "brats": {"methods": 2, "baselines": 4}}
"""Which table is which: the methods (base GANs, with style transfer, AGGrGAN), and AGGrGAN against other GANs."""

TABLES = {
    ("figshare", 1): """
    class          | glioma                 | meningioma             | pituitary
    dcgan1         | 0.39  17.33 0.23 28.52 | 0.42  16.18 0.27 28.97 | 0.37  15.35 0.38 28.54
    dcgan1+style   | 0.56  17.80 0.37 29.68 | 0.49  16.21 0.63 29.47 | 0.44  15.83 0.46 28.66
    dcgan2         | 0.40  15.55 0.34 28.04 | 0.40  15.61 0.27 28.26 | 0.37  16.42 0.34 27.71
    dcgan2+style   | 0.55  16.85 0.45 29.73 | 0.51  16.38 0.42 29.31 | 0.42  16.53 0.21 28.34
    wgan_div       | 0.42  17.31 0.36 28.14 | 0.46  17.92 0.40 28.64 | 0.40  16.91 0.39 28.11
    wgan_div+style | 0.52  17.65 0.45 29.48 | 0.48  17.59 0.48 29.09 | 0.42  16.87 0.28 28.35
    aggrgan_ssim   | 0.57  17.85 0.50 29.78 | 0.53  17.13 0.40 29.61 | 0.47  16.93 0.34 28.75
    aggrgan_psnr   | 0.55  17.97 0.44 29.50 | 0.51  17.49 0.57 29.56 | 0.44  17.12 0.19 28.54
    """,
    ("brats", 2): """
    class          | t1                     | t1ce                   | t2                     | flair
    dcgan1         | 0.47  17.9  5.05 28.52 | 0.48  18.60 3.93 28.51 | 0.49  18.76 3.70 28.41 | 0.48  17.81 1.65 29.05
    dcgan1+style   | 0.69  19.69 1.71 28.91 | 0.72  21.53 1.76 28.96 | 0.68  19.71 1.92 28.86 | 0.65  19.05 1.34 28.54
    dcgan2         | 0.68  19.69 3.83 27.70 | 0.65  19.70 1.53 27.57 | 0.69  19.67 3.54 27.82 | 0.65  21.27 1.48 27.62
    dcgan2+style   | 0.76  20.61 1.17 29.05 | 0.79  22.10 1.23 28.81 | 0.77  20.63 1.21 29.55 | 0.76  21.33 1.27 28.93
    wgan_div       | 0.62  20.62 2.37 27.51 | 0.61  20.20 2.37 27.52 | 0.60  21.14 2.40 27.46 | 0.54  19.91 2.06 27.49
    wgan_div+style | 0.76  21.07 1.34 28.99 | 0.82  22.85 1.19 29.12 | 0.77  21.28 1.25 29.10 | 0.77  21.04 1.32 29
    aggrgan_ssim   | 0.77  21.14 1.16 29.14 | 0.83  23.30 1.11 29.15 | 0.80  21.60 1.20 29.63 | 0.78  21.90 1.26 29.11
    aggrgan_psnr   | 0.74  22.12 1.10 29.10 | 0.82  23.68 0.99 29.07 | 0.78  21.94 1.15 29.11 | 0.77  21.77 1.18 29.35
    """,
    ("figshare", 3): """
    class          | glioma                 | meningioma             | pituitary
    lsgan          | 0.48  17.52 0.26 28.57 | 0.45  17.96 0.25 28.75 | 0.38  16.61 0.31 27.68
    infogan        | 0.43  17.22 0.28 28.63 | 0.43  16.48 0.31 28.18 | 0.44  16.75 0.24 27.80
    aggrgan_ssim   | 0.57  17.85 0.50 29.78 | 0.53  17.13 0.40 29.61 | 0.47  16.93 0.34 28.75
    """,
    ("brats", 4): """
    class          | t1                     | t1ce                   | t2                     | flair
    lsgan          | 0.69  20.17 1.14 27.53 | 0.58  20.31 1.52 27.49 | 0.68  20.16 1.39 27.60 | 0.63  19.91 1.49 27.49
    infogan        | 0.76  21.35 3.55 27.82 | 0.72  19.51 1.87 27.64 | 0.75  21.56 2.63 27.75 | 0.68  17.47 2.08 27.76
    aggrgan_ssim   | 0.77  21.14 1.16 29.14 | 0.83  23.30 1.11 29.15 | 0.80  21.60 1.20 29.63 | 0.78  21.90 1.26 29.11
    """,
}
"""The four `METRICS` in order, digit for digit. The paper's WGAN is `wgan_div`, its AGGrGAN `aggrgan_ssim`."""


def _parsed(text: str) -> dict[str, dict[str, dict[str, str]]]:
    """Class -> method -> metric -> value as printed."""
    (_, *classes), *lines = ([cell.strip() for cell in line.split("|")] for line in text.strip().splitlines())
    return {
        class_name: {method: dict(zip(METRICS, cells[column].split(), strict=True)) for method, *cells in lines}
        for column, class_name in enumerate(classes)
    }


PRINTED: dict[str, dict[int, dict[str, dict[str, dict[str, str]]]]] = {
    dataset: {table: _parsed(text) for (of, table), text in TABLES.items() if of == dataset}
    for dataset in TABLE_NUMBERS
}
"""Data set ("figshare", "brats") -> table -> class -> method -> metric ("ssim", "psnr" in dB, "kl", "sd") -> text."""


CASES_OF_TABLE5 = {
    "figshare": """
    1  | 44.43 77.12 58.45
    2  | 78.15 81.23 78.56
    3a | 87.29 90.12 92.24
    3b | 90.35 92.70 93.88
    3c | 90.11 93.41 92.47
    """,
    "brats": """
    1  | 59.05 61.79 53.12
    2  | 86.17 88.28 85.65
    3a | 88.57 91.27 88.18
    3b | 89.72 94.24 92.80
    3c | 90.20 93.66 92.03
    """,
}
NETWORKS = ("InceptionResNetV2", "VGG19", "ResNet152V2")

TABLE5: dict[str, dict[str, dict[str, str]]] = {
    dataset: {
        case.strip(): dict(zip(NETWORKS, values.split(), strict=True))
        for case, values in (line.split("|") for line in text.strip().splitlines())
    }
    for dataset, text in CASES_OF_TABLE5.items()
}
"""Data set ("figshare", "brats") -> case ("1", "2", "3a", "3b", "3c") -> network -> accuracy in per cent as printed."""


def paper_class(class_name: str) -> str:
    """The name under which `PRINTED` knows a class, whatever its case; T2-FLAIR is "flair"."""
    name = class_name.strip().lower()
    return "flair" if name in ("t2-flair", "t2_flair", "t2flair") else name


def paper_dataset(class_names: Iterable[str]) -> str | None:
    """The paper's data set of which all these are classes: "figshare" or "brats"; None where some class is of neither.

    Classes alone decide: images of the same classes from elsewhere count too.
    """
    names = {paper_class(name) for name in class_names}
    for dataset, tables in PRINTED.items():
        if names and names <= set(next(iter(tables.values()))):
            return dataset
    return None


def printed_cases(class_names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What `TABLE5` prints of a data set: case -> network -> accuracy; nothing unless these are all of its classes.

    With fewer classes to tell apart a classifier has an easier task, so that accuracies cannot stand side by side.
    """
    names = {paper_class(name) for name in class_names}
    for dataset, tables in PRINTED.items():
        if names == set(next(iter(tables.values()))):
            return TABLE5[dataset]
    return {}


def printed_value(dataset: str | None, table: int | None, class_name: str, method: str, metric: str) -> str:
    """What the paper prints, as text; "" where it prints nothing."""
    by_method = PRINTED.get(dataset or "", {}).get(table or 0, {}).get(paper_class(class_name), {})
    return by_method.get(method, {}).get(metric, "")
