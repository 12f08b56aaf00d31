/* What is asked of the service, and the key that it may want. */
import { say } from "./words.js";

const KEPT = "maxcos.key";

/** The key is for this tab alone, and gone with it. */
export const key = {
  get: () => {
    try {
      return sessionStorage.getItem(KEPT);
    } catch {
      return null;
    }
  },
  set: (value) => sessionStorage.setItem(KEPT, value),
  forget: () => sessionStorage.removeItem(KEPT),
};

/** A refusal. body: a problem document (RFC 9457), or its like where nothing answered. */
export class Problem extends Error {
  constructor(body) {
    super(body.detail ?? body.title);
    this.body = body;
  }
  get wantsKey() {
    return this.body.status === 401 || this.body.status === 403;
  }
}

const shown = () => (key.get() ? { Authorization: `Bearer ${key.get()}` } : {});

/** The service's answer. Raises Problem, and AbortError where the signal says so. */
async function ask(url, { headers, ...options } = {}) {
  let response;
  try {
    response = await fetch(url, {
      ...options,
      headers: { Accept: "application/json, application/problem+json", ...headers, ...shown() },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: say("offline") });
  }
  const body = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (!response.ok || body === null) {
    const detail = `HTTP ${response.status} ${response.statusText}`.trim();
    throw new Problem({ title: say("failed"), detail, status: response.status, ...(body ?? {}) });
  }
  return body;
}

export const get = (url, parameters = {}, signal = undefined) => {
  const query = new URLSearchParams(parameters).toString();
  return ask(query ? `${url}?${query}` : url, { signal });
};

export const post = (url, body, signal = undefined) =>
  ask(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

/** Show an item's picture in an image; one that needs a key is fetched, since an image sends none. */
export async function show(image, url) {
  if (!key.get()) {
    image.src = url;
    return;
  }
  try {
    const response = await fetch(url, { headers: shown() });
    if (!response.ok) throw new Error(response.statusText);
    const local = URL.createObjectURL(await response.blob());
    image.addEventListener("load", () => URL.revokeObjectURL(local), { once: true });
    image.src = local;
  } catch {
    image.dispatchEvent(new Event("error"));
  }
}
