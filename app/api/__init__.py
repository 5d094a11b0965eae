"""The HTTP edge: routers, dependencies, problem documents; the only room that knows HTTP."""
