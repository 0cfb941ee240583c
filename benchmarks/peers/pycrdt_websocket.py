"""python pycrdt_websocket.py PORT: the stock pycrdt-websocket server on uvicorn, without persistence."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from pycrdt.websocket import ASGIServer, WebsocketServer

server = WebsocketServer(auto_clean_rooms=False)
asgi = ASGIServer(server)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        async with server:
            await asgi(scope, receive, send)
    else:
        await asgi(scope, receive, send)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", ws_per_message_deflate=False)
