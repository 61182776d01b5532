"""Recipes: one composition of fusion, head, loss and balance per method of the papers, and their tables, as YAML.

Reading one imports neither torch nor Lightning.
"""

from counterpoint.recipes.load import PaperResult, Recipe, list_recipes, load_recipe
from counterpoint.recipes.tables import PaperTable, find_tables, list_tables, load_table, printed_tables

__all__ = [
    "PaperResult",
    "PaperTable",
    "Recipe",
    "find_tables",
    "list_recipes",
    "list_tables",
    "load_recipe",
    "load_table",
    "printed_tables",
]
