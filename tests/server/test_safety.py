"""Who may ask, and what nobody gets."""

import os
import re

import pytest
from server_tools import refusal, serving

from regard.errors import ConfigError
from regard.runs.checkpoints import pointed
from regard.server.safety import COOKIE, refuse_open

TOKEN = "correct horse battery"


@pytest.fixture
def guarded(whole_folder, tmp_path):
    with serving(whole_folder, tmp_path / "cache", TOKEN) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/static/index.html", "/api/overview", "/nowhere"])
def test_every_answer_forbids_what_the_page_does_not_need(client, path):
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'",
                 "frame-ancestors 'none'", "connect-src 'self'"):  # fmt: skip
        assert part in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""]
)
def test_another_name_of_this_machine_is_refused(client, host):
    assert refusal(client.get("/api/overview", headers={"Host": host}))[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:81", "127.0.0.1:8080", "[::1]:8080"])
def test_the_names_of_this_machine_are_served(client, host):
    assert client.get("/api/overview", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_do_not_post(client, headers):
    answer = client.post("/api/correction", json={}, headers=headers)
    assert refusal(answer)[0] == 403


def test_other_sites_do_not_have_nets_run_but_may_link_to_the_page(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert refusal(client.get("/api/overview", headers=headers))[0] == 403
    assert client.get("/", headers=headers).status_code == 200


def test_the_page_itself_posts(client):
    own = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/correction", json={}, headers=own).status_code == 400


def test_others_are_served_with_a_token_alone():
    with pytest.raises(ConfigError, match="add --token"):
        refuse_open("0.0.0.0", None)
    with pytest.raises(ConfigError, match="8 characters"):
        refuse_open("0.0.0.0", "short")
    refuse_open("0.0.0.0", TOKEN)
    for host in ("127.0.0.1", "localhost", "::1"):
        refuse_open(host, None)


@pytest.mark.parametrize("path", ["/", "/static/index.html", "/api/overview", "/api/openapi.json"])
def test_without_the_token_nothing_is_answered(guarded, path):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}={TOKEN}"}):
        answer = guarded.get(path, headers=headers)
        assert refusal(answer)[0] == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_token_is_shown_by_a_header_under_any_name(guarded):
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "photos.example"}
    assert guarded.get("/api/overview", headers=headers).status_code == 200


def test_the_token_is_shown_once_and_then_by_a_cookie(guarded):
    assert refusal(guarded.get("/", params={"token": "wrong"}))[0] == 401
    answer = guarded.get("/", params={"token": TOKEN})
    assert answer.headers["Refresh"] == "0; url=/"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert guarded.get("/api/overview").status_code == 200
    guarded.cookies.clear()
    assert guarded.get("/api/overview").status_code == 401


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"} | BROWSER


def test_a_browser_is_asked_for_the_token_by_a_page(guarded):
    answer = guarded.get("/", headers=BROWSER)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "form-action 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|style=|\bon\w+=", answer.text)
    assert "not the token" not in answer.text
    assert "not the token" in guarded.get("/?token=wrong", headers=BROWSER).text
    for path in ("/api/overview", "/static/main.js", "/nowhere"):
        assert refusal(guarded.get(path, headers=BROWSER))[0] == 401
    for path in ("/static/page.css", "/static/icon.svg"):
        assert guarded.get(path).status_code == 200


def test_the_form_lets_in_who_knows_the_token(guarded):
    wrong = guarded.post("/", content="token=wrong", headers=FORM)
    assert (wrong.status_code, "not the token" in wrong.text) == (401, True)
    assert "Set-Cookie" not in wrong.headers
    answer = guarded.post("/", data={"token": TOKEN}, headers=BROWSER, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")
    assert TOKEN not in answer.headers["Set-Cookie"]
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert guarded.get("/api/overview").status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        ("token=" + "a" * 9000, FORM, 413),
        ("{}", {"Content-Type": "application/json"}, 415),
        ("", {"Content-Type": "application/x-www-form-urlencoded"}, 401),
        ("token=%ff", {"Content-Type": "application/x-www-form-urlencoded"}, 401),
        ("token=x", FORM | {"Origin": "https://evil.example"}, 403),
        ("token=x", FORM | {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_form_that_is_none_is_refused_in_a_line(guarded, content, headers, status):
    assert refusal(guarded.post("/", content=content, headers=headers))[0] == status


def test_without_a_token_there_is_no_form(client):
    assert refusal(client.post("/", data={"token": "x"}))[0] == 405


@pytest.mark.parametrize(
    "run",
    ["..", "../own", "runs/../runs/one", "/etc", "runs/one/", "runs/one/../two", "\0", "a" * 999],
)
def test_what_a_request_names_is_looked_up_and_never_a_path(client, run):
    for path in ("run", "curves", "gallery"):
        answer = client.get(f"/api/{path}", params={"run": run, "split": "test"})
        assert refusal(answer)[0] == 404


@pytest.mark.parametrize(
    "split", ["../../two/predictions/test", "/etc/passwd", "..", "test.parquet"]
)
def test_a_split_is_no_path_either(client, split):
    answer = client.get("/api/gallery", params={"run": "runs/one", "split": split})
    assert refusal(answer)[0] == 404


@pytest.mark.parametrize(
    "name", ["%2e%2e/app.py", "..%2fapp.py", "../app.py", "/etc/passwd", "%00"]
)
def test_static_files_are_those_of_the_page_alone(client, name):
    assert client.get(f"/static/{name}").status_code == 404


def test_links_that_lead_out_are_not_followed(own, whole_folder, tmp_path):
    os.symlink(whole_folder / "runs/two", own.folder / "runs/linked")
    assert refusal(own.get("/api/run", params={"run": "runs/linked"}))[0] == 404
    secret = tmp_path / "secret.json"
    secret.write_text('{"metrics": {"hidden": {"value": 0.123456}}}')
    os.symlink(secret, own.folder / "runs/sets/metrics/secret.json")
    for answer in (own.get("/api/overview"), own.get("/api/run", params={"run": "runs/sets"})):
        assert not {part for part in ("hidden", "0.123456") if part in answer.text}
    table = own.folder / "runs/one/predictions/test.parquet"
    table.unlink()
    os.symlink(whole_folder / "runs/two/predictions/test.parquet", table)
    answer = own.get("/api/gallery", params={"run": "runs/one", "split": "test"})
    assert refusal(answer)[0] == 404
    checkpoints = own.folder / "runs/two/checkpoints"
    weights = checkpoints / str(pointed(checkpoints, "best")) / "model.safetensors"
    weights.rename(tmp_path / "moved.safetensors")
    os.symlink(tmp_path / "moved.safetensors", weights)
    asked = {"run": "runs/two", "split": "test", "index": 37}
    assert refusal(own.get("/api/map", params=asked))[0] == 404


def test_the_page_is_typed_and_not_kept_without_asking(client):
    answer = client.get("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    again = client.get("/static/index.html", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert client.get("/api/overview").headers["Cache-Control"] == "no-store"


def test_other_methods_and_addresses_are_refused_in_a_line(client):
    status, _ = refusal(client.post("/api/overview"))
    assert status == 405
    assert refusal(client.get("/api/nowhere"))[0] == 404


def test_a_report_runs_apart_from_the_page(own):
    path = own.folder / "runs/one/report.html"
    assert own.get("/api/report", params={"run": "runs/one"}).status_code == 404
    path.write_text("<script>document.cookie</script>")
    answer = own.get("/api/report", params={"run": "runs/one"})
    assert answer.text == path.read_text()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts;" in policy
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy  # default-src 'none' holds for it
    assert "default-src 'none'" in policy
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert own.get("/api/report", params={"run": "runs/one"}).status_code == 404
