// What the elements share: whose client they follow by, and that they do so while they are in a page.

import {connect} from "./client.js";

const shown = new Set();
let client = null;

/** Have all elements follow by this client: for gateways elsewhere, or tokens. Without it they ask where this module is from. */
export function setClient(one) {
  client = one;
  for (const element of shown) element.restart();
}

// On a server there is no page, and the module may still be imported.
const Base = globalThis.HTMLElement ?? class {};

/** An element that follows something: `start(client)` returns what to `close()`, or nothing. */
export class Following extends Base {
  #following = null;

  connectedCallback() {
    shown.add(this);
    this.restart();
  }

  disconnectedCallback() {
    shown.delete(this);
    this.#following?.close();
    this.#following = null;
  }

  attributeChangedCallback() {
    if (this.isConnected) this.restart();
  }

  /** Begin anew. */
  restart() {
    this.#following?.close();
    client ??= connect(new URL(import.meta.url).origin);
    this.#following = this.start(client);
  }
}
