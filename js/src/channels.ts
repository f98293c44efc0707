// Subscriptions: one on the wire for each channel, however many functions listen.

import { ApeError, type Failure } from "./error";
import type { Calls, Request } from "./calls";
import { type Flow, createFlow } from "./flow";
import { type Listeners, createListeners, guard } from "./listeners";
import type { Log } from "./log";

export type Subscriber = (value: unknown) => void;

/** Ends the subscription of one function. `ready` settles with the server's answer. */
export interface Unsubscribe {
  (): void;
  ready: Promise<void>;
}

interface Channel {
  listeners: Listeners<[value: unknown]>;
  last?: { value: unknown };
  /** The newest `s` line. */
  request: Request;
  ready: Promise<void>;
  settle(error?: ApeError): void;
}

export interface SubscribeOptions {
  /** Messages that may wait for the loop. */
  buffer?: number;
  /** Which one goes when one more comes. */
  drop?: "oldest" | "newest";
}

export type Channels = ReturnType<typeof createChannels>;

/** `event` hears what comes for channels that only the server has subscribed this client to. */
export function createChannels(calls: Calls, log: Log, event: (type: string, data: unknown) => void) {
  const channels = new Map<string, Channel>();
  /** Unsubscribed, and not answered yet: what still comes is for nobody. */
  const leaving = new Set<string>();

  return {
    end,
    subscribe,

    /** What comes, for a loop: what it is too slow for is dropped, and counted. */
    iterate(name: string, { buffer = 64, drop }: SubscribeOptions = {}): Flow & { dropped: number } {
      const flow = Object.assign(createFlow(() => off()), { dropped: 0 });
      const listener = (value: unknown) => {
        const isFull = flow.queue.length >= buffer;
        if (isFull) flow.dropped++;
        if (isFull && drop === "newest") return;
        if (isFull) flow.queue.shift();
        flow.push(value);
      };
      const off = subscribe(name, listener, flow.end);
      return flow;
    },

    /** A message came. */
    deliver(name: string, value: unknown): void {
      const channel = channels.get(name);
      if (channel) {
        channel.last = { value };
        channel.listeners.tell(value);
      } else if (!leaving.has(name)) {
        event(name, value);
      }
    },

    /** The session is another one: subscribes again, but for what still waits to be written. */
    renew(): void {
      for (const [name, channel] of channels) if (!channel.request.entry.waiting) request(name, channel, true);
    },
  };

  function subscribe(name: string, listener: Subscriber, ended?: (error: unknown) => void): Unsubscribe {
    const channel = channels.get(name) ?? open(name);
    const { last, ready } = channel;
    const remove = channel.listeners.add(listener, ended);
    let done = false;
    if (last) queueMicrotask(() => done || guard(() => listener(last.value)));
    const off = () => {
      done = true;
      remove();
      if (channel.listeners.isEmpty() && channels.get(name) === channel) close(name, channel);
    };
    return Object.assign(off, { ready });
  }

  function open(name: string): Channel {
    const channel = { listeners: createListeners<[unknown]>() } as Channel;
    channel.ready = new Promise((resolve, reject) => {
      channel.settle = (error) => (error ? reject(error) : resolve());
    });
    channel.ready.catch(() => {}); // who does not ask for ready has been told by the console
    channels.set(name, channel);
    try {
      request(name, channel);
    } catch (error) {
      end(name, error as ApeError);
    }
    return channel;
  }

  function request(name: string, channel: Channel, needed = false): void {
    const asked = (channel.request = calls.start("s", name, ";l", needed));
    asked.answer.then(
      () => channel.settle(),
      (error: ApeError) => {
        // An answer to an older request, or one that a new session will repeat, ends nothing.
        const current = channel.request === asked && channels.get(name) === channel;
        if (current && !/^(lost|closed)$/.test(error.code)) end(name, error);
      },
    );
  }

  function close(name: string, { request }: Channel): void {
    channels.delete(name);
    if (log.withdraw(request.entry)) return void calls.open.delete(request.id);
    const left = () => leaving.delete(name);
    leaving.add(name);
    calls.start("u", name, "", true).answer.then(left, left);
  }

  /** The server ended the subscription, or refused it. */
  function end(name: string, failure: Failure): void {
    const channel = channels.get(name);
    if (!channel) return;
    channels.delete(name);
    const error = new ApeError(failure, name);
    console.error(`ape: subscription of ${name} ended:`, error);
    channel.settle(error);
    channel.listeners.end(error);
  }
}
