/** What is asked for again and again while somebody looks. */

import { report } from "./connection.js";

const AGAIN_MS = [1_000, 2_000, 5_000];

/**
 * Run `work` at once and then every so many milliseconds while the page is visible; sooner again after it failed for
 * want of the gateway, which is told as stale. Other errors go to `failed`, and end it; but who is signed out while
 * the page is open signs in again over what is there.
 */
export function poll(name, ms, work, failed) {
  let timer = 0;
  let failures = 0;
  let isOver = false;
  let isRunning = false;
  let heard = null;

  async function run() {
    clearTimeout(timer);
    if (isRunning || isOver) return;
    isRunning = true;
    let wait = ms;
    try {
      await work();
      failures = 0;
      heard = new Date();
      if (!isOver) report(name, "live");
    } catch (error) {
      if (isOver) return;
      const isSignedOut = error.status === 401 && heard;
      if (error.status && error.status < 500 && error.status !== 429 && !isSignedOut) {
        isOver = true;
        report(name, null);
        failed(error);
        return;
      }
      report(name, "stale", { since: heard ?? undefined, problem: error });
      wait = AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)];
    } finally {
      isRunning = false;
    }
    if (!isOver && !document.hidden) timer = setTimeout(run, wait);
  }

  const wake = () => document.hidden || run();
  document.addEventListener("visibilitychange", wake);
  addEventListener("online", run);
  run();
  return {
    run,
    close() {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
      removeEventListener("online", run);
    },
  };
}
