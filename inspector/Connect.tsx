import { useState } from 'react';

/** Apps of XState 4 on Node are inspected the other way round: they serve, and the viewer connects. */
export function Connect({ onConnect }: { onConnect: (url: string) => string | null }) {
  const [problem, setProblem] = useState<string | null>(null);
  return (
    <form
      className="connect"
      onSubmit={(event) => {
        event.preventDefault();
        setProblem(onConnect(String(new FormData(event.currentTarget).get('url') ?? '')));
      }}
    >
      <label>
        An app on Node that serves @xstate/inspect <input name="url" placeholder="ws://127.0.0.1:8888" />
      </label>
      <button type="submit">Connect</button>
      {problem !== null && <span role="alert">{problem}</span>}
    </form>
  );
}
