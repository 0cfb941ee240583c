/** A WebSocket that tells which frames have left on it: what the ledger counts. One class for each live file. */

export function tellingSocket(told: { opened: () => void; sent: (frame: Uint8Array) => void }): typeof WebSocket {
  return class TellingSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      told.opened();
    }

    override send(data: string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBufferLike>): void {
      if (data instanceof Uint8Array) told.sent(data);
      super.send(data as ArrayBufferView<ArrayBuffer>);
    }
  };
}
