import { useRef, useState } from 'react';
import { messageOf } from '../src/system/errors.js';
import { download, fileOf, shares, tokenIn } from './share.js';
import type { Store } from './store.js';

/** What can be copied, saved and loaded again. */
export function Sharing({ store, onText }: { store: Store; onText: (title: string, text: string) => void }) {
  const [said, setSaid] = useState('');
  const file = useRef<HTMLInputElement>(null);
  const copy = (name: string): void => {
    try {
      const text = shares[name]?.(store) ?? '';
      navigator.clipboard.writeText(text).then(
        () => setSaid(`${name} copied`),
        () => onText(name, text),
      );
    } catch (error) {
      store.say(messageOf(error));
    }
  };
  return (
    <section aria-label="Share">
      <h2>Share</h2>
      <div className="shares">
        {Object.keys(shares).map((name) => (
          <button type="button" key={name} onClick={() => copy(name)}>
            Copy {name}
          </button>
        ))}
        <button type="button" onClick={() => download(`${store.case.id.replaceAll('/', '-')}.json`, 'application/json', fileOf(store))}>
          Save file
        </button>
        <button type="button" onClick={() => file.current?.click()}>
          Load file
        </button>
        <input
          ref={file}
          type="file"
          hidden
          aria-label="A saved schedule"
          accept=".json,.txt,application/json,text/plain"
          onChange={({ target }) => {
            target.files?.[0]
              ?.text()
              .then((text) => store.open(tokenIn(text)))
              .catch((error) => store.say(messageOf(error)));
            target.value = '';
          }}
        />
      </div>
      <p role="status" className="muted">
        {said}
      </p>
    </section>
  );
}
