(function () {
  "use strict";
  var figures = document.querySelectorAll("figure.chart");
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var library = document.getElementById("plotly-js").getAttribute("src");
  var name = library.split("/").pop();

  // All else of a page that was sent alone is there, and its figures say what they lack.
  function explain() {
    figures.forEach(function (figure, place) {
      var plot = figure.querySelector(".plot");
      plot.classList.add("missing");
      plot.style.height = "auto";
      plot.textContent = place ? "Not drawn: " + name + " is missing, as said at the first figure." :
        "Not drawn: the file " + name + " draws the figures, and was found neither beside this page nor at " + library +
        ". It lies in the folder that all pages were made in: put it beside this page.";
    });
  }

  // The figures carry no colours of paper and ink of their own beyond their template: swap those with the theme.
  function themed(layout, options) {
    var style = getComputedStyle(document.documentElement);
    var grid = options.print ? "#dddddd" : style.getPropertyValue("--grid").trim();
    var ink = options.print ? "#000000" : style.getPropertyValue("--ink").trim();
    var paper = options.print ? "#ffffff" : style.getPropertyValue("--raised").trim();
    var copy = JSON.parse(JSON.stringify(layout));
    var base = copy.template.layout;
    base.font.color = ink;
    [base.xaxis, base.yaxis].forEach(function (axis) { axis.gridcolor = grid; axis.linecolor = grid; });
    (copy.shapes || []).forEach(function (shape) { if (shape.name === "rule") { shape.line.color = grid; } });
    copy.hoverlabel = { bgcolor: paper, bordercolor: grid, font: { color: ink } };
    if (options.print) { copy.width = 640; } else { copy.autosize = true; }
    return copy;
  }

  function draw(options) {
    figures.forEach(function (figure) {
      var drawn = JSON.parse(figure.querySelector("script").textContent);
      var config = { responsive: !options.print, displayModeBar: false, displaylogo: false, showLink: false };
      Plotly.react(figure.querySelector(".plot"), drawn.data, themed(drawn.layout, options), config);
    });
  }

  function start() {
    draw({ print: false });
    dark.addEventListener("change", function () { draw({ print: false }); });
    window.addEventListener("beforeprint", function () { draw({ print: true }); });
    window.addEventListener("afterprint", function () { draw({ print: false }); });
  }

  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
  });
  if (window.Plotly) { start(); return; }
  var beside = document.createElement("script");
  beside.src = name;
  beside.onload = start;
  beside.onerror = explain;
  document.head.appendChild(beside);
})();
