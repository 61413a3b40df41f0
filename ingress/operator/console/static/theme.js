// Sets the theme that was chosen in this browser before anything is painted.
(() => {
  try {
    const chosen = localStorage.getItem("mailroom-theme");
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch { /* a browser that keeps nothing follows the system */ }
})();
