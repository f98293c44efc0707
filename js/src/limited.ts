// Requests that may not take forever.

/** Runs a request, and aborts it after so many milliseconds or with `outer`. Undefined when it failed. */
export async function limited<T>(
  ms: number,
  request: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T | undefined> {
  const abort = new AbortController();
  const stop = () => abort.abort();
  const timer = setTimeout(stop, ms);
  outer?.addEventListener("abort", stop);
  try {
    return await request(abort.signal);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", stop);
  }
}
