// Subscriptions: one on the wire for each channel, however many functions listen.

import { ApeError, type Failure } from "./error";
import type { Calls } from "./calls";
import { type Off, Listeners, guard } from "./listeners";
import type { Entry, Log } from "./log";

export type Subscriber = (value: unknown) => void;

/** Ends the subscription of one function. `ready` settles with the server's answer. */
export interface Unsubscribe {
  (): void;
  ready: Promise<void>;
}

interface Channel {
  listeners: Listeners<[value: unknown]>;
  last?: { value: unknown };
  /** The newest `s` line and its id. */
  entry: Entry;
  id: number;
  ready: Promise<void>;
  settle(error?: ApeError): void;
}

export class Channels {
  private readonly channels = new Map<string, Channel>();

  constructor(
    private readonly calls: Calls,
    private readonly log: Log,
  ) {}

  subscribe(name: string, listener: Subscriber): Unsubscribe {
    const channel = this.channels.get(name) ?? this.open(name);
    const remove = channel.listeners.add(listener);
    const { last } = channel;
    let done = false;
    if (last) queueMicrotask(() => done || guard(() => listener(last.value)));
    const off = () => {
      done = true;
      remove();
      if (!channel.listeners.size && this.channels.get(name) === channel) this.close(name, channel);
    };
    return Object.assign(off as Off, { ready: channel.ready });
  }

  /** A message came. */
  deliver(name: string, value: unknown): void {
    const channel = this.channels.get(name);
    if (!channel) return;
    channel.last = { value };
    channel.listeners.tell(value);
  }

  /** The server ended the subscription, or refused it. */
  end(name: string, failure: Failure): void {
    const channel = this.channels.get(name);
    if (!channel) return;
    this.channels.delete(name);
    const error = new ApeError(failure, name);
    console.error(`ape: subscription of ${name} ended:`, error);
    channel.settle(error);
  }

  /** The session is another one: subscribes again, but for what still waits to be written. */
  renew(): void {
    for (const [name, channel] of this.channels) {
      if (!channel.entry.waiting) this.request(name, channel, true);
    }
  }

  private open(name: string): Channel {
    const channel = { listeners: new Listeners() } as Channel;
    channel.ready = new Promise((resolve, reject) => {
      channel.settle = (error) => (error ? reject(error) : resolve());
    });
    channel.ready.catch(() => {}); // who does not ask for ready has been told by the console
    this.channels.set(name, channel);
    try {
      this.request(name, channel);
    } catch (error) {
      this.end(name, error as ApeError);
    }
    return channel;
  }

  private request(name: string, channel: Channel, needed = false): void {
    const { id, entry, answer } = this.calls.start("s", name, ";l", undefined, needed);
    channel.id = id;
    channel.entry = entry;
    answer.then(
      () => channel.settle(),
      (error: ApeError) => {
        // An answer to an older request, or one that a new session will repeat, ends nothing.
        const current = channel.id === id && this.channels.get(name) === channel;
        if (current && error.code !== "lost" && error.code !== "closed") this.end(name, error);
      },
    );
  }

  private close(name: string, channel: Channel): void {
    this.channels.delete(name);
    if (this.log.withdraw(channel.entry)) this.calls.forget(channel.id);
    else this.calls.start("u", name, "", undefined, true).answer.catch(() => {});
  }
}
