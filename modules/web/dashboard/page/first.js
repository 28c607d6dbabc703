// What must happen before the first paint: the theme that the user chose. The rest of the script waits for that paint,
// which it would delay by as much as it takes. A page in the background is not painted, so nothing waits there.

const root = document.documentElement;

try {
  const theme = localStorage.getItem("starling.theme");
  if (theme && theme !== "system") root.dataset.theme = theme;
} catch { /* the browser keeps nothing */ }

const afterPaint = (run) => { if (document.hidden) run(); else requestAnimationFrame(() => setTimeout(run)); };
