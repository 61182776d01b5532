"""Recipes: one composition of fusion, head, loss and balance per method of the papers, and their tables, as YAML.

Reading one imports neither torch nor Lightning.
"""

from counterpoint.recipes.load import PaperResult, Recipe, list_recipes, load_recipe
from counterpoint.recipes.tables import PaperTable, list_tables, load_table

__all__ = ["PaperResult", "PaperTable", "Recipe", "list_recipes", "list_tables", "load_recipe", "load_table"]
