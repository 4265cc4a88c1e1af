// Calls the box office. It answers, it refuses, or it is away.

// Nobody waits in front of a door for longer.
const PATIENCE = 3000;

// No answer, or none that says anything about the ticket: decide alone.
export class Away extends Error {}

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.code);
    this.status = status;
  }

  get isSignedOut() {
    return this.status === 401 || this.status === 403;
  }
}

export async function call(address, body, patience = PATIENCE) {
  const headers = { Accept: "application/json" };
  if (body) {
    headers["Content-Type"] = "application/json";
    headers["X-CSRFToken"] = document.querySelector("[name=csrfmiddlewaretoken]").value;
  }
  let answer, said;
  try {
    answer = await fetch(address, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
    if (answer.status >= 500 || answer.status === 429) throw new Away();
    said = await answer.json();
  } catch (error) {
    throw error instanceof Away ? error : new Away();
  }
  if (!answer.ok) throw new Refused(answer.status, said);
  return said;
}
