"""Write every generated page into docs/reference."""

from pathlib import Path

from docs.generator import PAGES

REFERENCE = Path(__file__).parent.parent / "reference"


def main() -> None:
    """Write the pages, and say which of them changed."""
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"docs/reference/{name}: written anew")


if __name__ == "__main__":
    main()
