from typing import Any


def handler(event: dict[str, Any], context: Any) -> str:
    return str(event["detail-type"])
