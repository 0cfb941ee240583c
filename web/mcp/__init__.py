"""The Model Context Protocol at `/mcp`: the workspace as tools and resources for agents."""
