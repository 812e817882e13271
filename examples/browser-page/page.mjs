import { check, counterexampleOf, diagram } from 'shootdown';
import { adders } from './counter.mjs';

const show = (id, text) => {
  document.getElementById(id).textContent = text;
};
const locked = document.getElementById('locked');

async function checkInPage() {
  const result = await check(adders(locked.checked));
  const counterexample = counterexampleOf(result);
  show('diagram', counterexample ? diagram(counterexample) : '');
  show('states', String(result.exploration.states));
  show('verdict', result.verdict);
}

locked.addEventListener('change', checkInPage);
checkInPage();
