"""Makes calls with the official SDK: base URL and API version as arguments, a JSON list of {"call", "arguments"} on standard input.

Runs in any environment that holds google-genai. What the calls answer is of no interest; what they send is recorded by the server.
"""

import base64
import json
import sys
import warnings

from google import genai


def main() -> None:
    warnings.simplefilter("ignore")  # "experimental" notices
    url, version = sys.argv[1:]
    client = genai.Client(api_key="KEY-1234", http_options={"base_url": url, "api_version": version})
    for row in json.load(sys.stdin):
        method = client
        for name in row["call"].split("."):
            method = getattr(method, name)
        arguments = row["arguments"]
        if "file" in arguments:
            arguments["file"] = base64.b64decode(arguments["file"])
        result = method(**arguments)
        if arguments.get("stream"):
            list(result)


main()
