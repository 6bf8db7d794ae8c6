"use strict";
for (const gallery of document.querySelectorAll(".gallery")) {
  const show = () => {
    gallery.style.setProperty("--map", gallery.querySelector(".opacity").value / 100);
    const outlines = gallery.querySelector(".outlines");
    gallery.classList.toggle("bare", outlines !== null && !outlines.checked);
  };
  gallery.addEventListener("input", show);
  show();
}
const large = document.getElementById("large");
document.addEventListener("click", (event) => {
  const stack = event.target.closest(".gallery .stack");
  if (stack) {
    const copy = stack.cloneNode(true);
    const [width, height] = copy.style.aspectRatio.split("/").map(Number);
    copy.style.width = `min(94vw, ${(82 * width) / height}vh)`;
    const gallery = stack.closest(".gallery");
    large.style.setProperty("--map", gallery.style.getPropertyValue("--map"));
    large.classList.toggle("bare", gallery.classList.contains("bare"));
    large.querySelector("div").replaceChildren(copy);
    large.showModal();
  } else if (large.open && event.target.closest("dialog")) {
    large.close();
  }
});
