(() => {
  if (window.tendonSkeletons) return;
  window.tendonSkeletons = true;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const players = [];
  const setup = (figure) => {
    const joints = +figure.dataset.joints, bodies = +figure.dataset.bodies, fps = +figure.dataset.fps;
    const values = Float32Array.from(figure.dataset.poses.split(","), (v) => (v === "" ? NaN : v / 10));
    const parts = figure.dataset.bones.split(";").map((p) => p.split(",").filter(Boolean).map((b) => b.split("-").map(Number)));
    const paths = [...figure.querySelectorAll("path")];
    const size = joints * bodies * 3, frames = Math.floor(values.length / size);
    if (frames < 1) return;
    const player = { figure, playing: !still, visible: true, start: 0, angle: 0, at: Math.floor(frames / 2) };
    player.draw = () => {
      const s = Math.sin(player.angle), c = Math.cos(player.angle);
      const point = (j) => {
        const x = values[j], y = values[j + 1], z = values[j + 2];
        return x === x ? (c * x + s * z).toFixed(1) + " " + y.toFixed(1) : null;
      };
      paths.forEach((path, i) => {
        const base = player.at * size + Math.floor(i / parts.length) * joints * 3;
        let d = "";
        for (const [child, parent] of parts[i % parts.length]) {
          const a = point(base + parent * 3), b = point(base + child * 3);
          if (a && b) d += "M" + a + "L" + b;
        }
        path.setAttribute("d", d);
      });
    };
    // A pause of half a second after the last frame tells where the action ends.
    const loop = frames + Math.round(fps / 2);
    player.tick = (now) => {
      if (!player.playing || !player.visible) return;
      const at = Math.min(Math.floor(((now - player.start) / 1000) * fps) % loop, frames - 1);
      if (at !== player.at) { player.at = at; player.draw(); }
    };
    let from = null, moved = false;
    figure.addEventListener("pointerdown", (e) => { from = e.clientX; moved = false; figure.setPointerCapture(e.pointerId); });
    figure.addEventListener("pointermove", (e) => {
      if (from === null) return;
      if (Math.abs(e.clientX - from) > 2) moved = true;
      player.angle += (e.clientX - from) / 80; from = e.clientX; player.draw();
    });
    figure.addEventListener("pointerup", () => {
      from = null;
      if (!moved) { player.playing = !player.playing; player.start = performance.now() - (player.at / fps) * 1000; }
    });
    figure.addEventListener("pointercancel", () => { from = null; });
    players.push(player);
  };
  const run = (now) => { for (const p of players) p.tick(now); requestAnimationFrame(run); };
  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("figure.skeleton").forEach(setup);
    const seen = new IntersectionObserver((entries) => {
      for (const e of entries) for (const p of players) if (p.figure === e.target) p.visible = e.isIntersecting;
    });
    for (const p of players) seen.observe(p.figure);
    requestAnimationFrame(run);
  });
})();
