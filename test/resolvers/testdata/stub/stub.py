"""Looks up each FAMILY:NAME argument with socket.getaddrinfo and prints what it got."""

import socket
import sys

FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6, "any": socket.AF_UNSPEC}

for question in sys.argv[1:]:
    family, name = question.split(":")
    try:
        found = socket.getaddrinfo(name, None, family=FAMILIES[family], type=socket.SOCK_STREAM)
        answer = " ".join(address[0] for *_, address in found)
    except socket.gaierror as error:
        answer = {socket.EAI_NONAME: "unknown", socket.EAI_NODATA: "no-address"}.get(error.errno, f"failed: {error}")
    print(question, answer)
