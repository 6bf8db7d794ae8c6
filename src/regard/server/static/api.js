// What the server is asked, and how its refusals come back.

/** A refusal in one line, as the server words it. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let token = null;

/** Show a token from now on; a page that was opened with one has a cookie for it. */
export function useToken(given) {
  token = given;
}

/** The path of a question with what is not empty of its parameters. */
function path(name, parameters = {}) {
  const kept = Object.entries(parameters).filter(
    ([, value]) => value !== "" && value !== null && value !== undefined,
  );
  const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
  return `api/${name}${query ? `?${query}` : ""}`;
}

async function ask(address, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let answer;
  try {
    answer = await fetch(address, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The server does not answer. Is `regard serve` still running?");
  }
  if (!answer.ok) throw new Refusal(answer.status, await refusal(answer));
  return answer;
}

async function refusal(answer) {
  const said = await answer.json().catch(() => null);
  if (said?.message) return said.message;
  return `The server answered ${answer.status} ${answer.statusText}`.trim();
}

/** A JSON answer. */
export async function get(name, parameters, signal) {
  return (await ask(path(name, parameters), { signal })).json();
}

export async function post(name, parameters, body, signal) {
  const json = !(body instanceof Blob);
  const headers = {
    "Content-Type": json ? "application/json" : body.type || "application/octet-stream",
  };
  const options = { method: "POST", headers, body: json ? JSON.stringify(body) : body, signal };
  return (await ask(path(name, parameters), options)).json();
}

/** A picture as a blob, and the answer's headers. */
export async function picture(name, parameters, signal) {
  const answer = await ask(path(name, parameters), { signal });
  return { blob: await answer.blob(), headers: answer.headers };
}
