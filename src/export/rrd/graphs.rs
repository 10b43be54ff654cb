//! What the pictures show, as values: `keepwatch-rrd` draws them, and [`Picture::arguments`] are those of `rrdtool graph`.
//!
//! Colours are those of Okabe and Ito and of Tol's muted set, which people with any kind of colour vision tell apart; areas
//! that touch differ in lightness, too.

use std::time::Duration;

use super::layout::{Cf, Layout, Object};
use crate::export::graph::{GraphError, GraphKind, GraphRequest};

/// Pixels.
pub const WIDTH: std::ops::RangeInclusive<u32> = 200..=4000;
pub const HEIGHT: std::ops::RangeInclusive<u32> = 100..=2000;

pub const SPAN_MIN: Duration = Duration::from_secs(60);
pub const SPAN_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Real servers of a stack that have a colour of their own; the others are one.
pub const STACK_MAX: usize = 12;

/// The pictures of a kind of object, the first first, with what they show.
pub fn views(kind: GraphKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        GraphKind::Vrrp => &[("state", "state and priority"), ("adverts", "adverts per second")],
        GraphKind::Vs => &[
            ("connections", "connections per second"),
            ("traffic", "traffic"),
            ("servers", "real servers up and their weight"),
        ],
        GraphKind::Rs => &[
            ("connections", "connections per second"),
            ("open", "open connections"),
            ("check", "duration of checks"),
            ("traffic", "traffic"),
        ],
        GraphKind::Ipvs => &[("connections", "connections per second"), ("traffic", "traffic")],
        GraphKind::Daemon => &[("delays", "largest delays"), ("memory", "memory")],
    }
}

/// What there is to draw from.
pub struct Scene<'a> {
    pub layout: &'a Layout,
    /// The whole path of a file of the layout, if it is there.
    pub locate: &'a dyn Fn(&str) -> Option<String>,
    /// Real servers of the virtual server that have something to show, those with the most connections first.
    pub servers: &'a [Object],
    /// How many times as large the weights are as the numbers of servers.
    pub weight_scale: u32,
}

/// A picture, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub title: String,
    pub unit: &'static str,
    /// 1000, or 1024 for memory.
    pub base: u32,
    pub lower: Option<f64>,
    /// The axis ends here, whatever the values are.
    pub upper: Option<f64>,
    /// The right axis: how many times the left one, and its unit.
    pub right: Option<(u32, &'static str)>,
    /// Beside the picture instead of below.
    pub legend_beside: bool,
    pub elements: Vec<Element>,
}

/// Red, green, blue, and how much covers what is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u32, pub u8);

#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    Def {
        var: String,
        path: String,
        ds: String,
        cf: Cf,
    },
    Cdef {
        var: String,
        rpn: String,
    },
    Vdef {
        var: String,
        rpn: String,
    },
    Area {
        var: String,
        color: Color,
        legend: Option<String>,
        stack: bool,
    },
    Line {
        var: String,
        width: f64,
        color: Color,
        legend: Option<String>,
        dashed: bool,
    },
    /// A number in the legend; the format is for one `double`, with colons escaped.
    Print {
        var: String,
        format: String,
    },
}

/// The picture's own colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub back: u32,
    pub canvas: u32,
    pub font: u32,
    pub grid: u32,
    pub major_grid: u32,
    pub axis: u32,
}

pub fn theme(dark: bool) -> Theme {
    if dark {
        Theme { back: 0x1b1e23, canvas: 0x14161a, font: 0xd8dce2, grid: 0x343a42, major_grid: 0x59616c, axis: 0x8b94a0 }
    } else {
        Theme { back: 0xffffff, canvas: 0xffffff, font: 0x1f2328, grid: 0xdfe3e8, major_grid: 0xb4bac2, axis: 0x6b7480 }
    }
}

/// Whether a request can be drawn at all.
pub fn check(request: &GraphRequest) -> Result<(), GraphError> {
    let refuse = |text: String| Err(GraphError::BadRequest(text));
    if !WIDTH.contains(&request.width) || !HEIGHT.contains(&request.height) {
        return refuse(format!(
            "a picture is {} to {} pixels wide and {} to {} high",
            WIDTH.start(),
            WIDTH.end(),
            HEIGHT.start(),
            HEIGHT.end()
        ));
    }
    if !(SPAN_MIN..=SPAN_MAX).contains(&request.span) {
        return refuse("a picture spans a minute to ten years".to_owned());
    }
    view(request).map(|_| ())
}

fn view(request: &GraphRequest) -> Result<(&'static str, &'static str), GraphError> {
    let views = views(request.kind);
    let found = match &request.view {
        Some(wanted) => views.iter().find(|(name, _)| name == wanted),
        None => views.first(),
    };
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = views.iter().map(|(name, _)| *name).collect();
        GraphError::BadRequest(format!("the pictures of {} are {}", request.kind.name(), names.join(", ")))
    })
}

/// Makes the picture that is asked for.
pub fn picture(request: &GraphRequest, scene: &Scene<'_>) -> Result<Picture, GraphError> {
    check(request)?;
    let (view, shows) = view(request)?;
    let object = Object::new(request.kind, request.name.clone());
    let subject = match request.kind {
        GraphKind::Vrrp | GraphKind::Vs => printable(&request.name),
        GraphKind::Rs => object.parts().map_or_else(
            || printable(&request.name),
            |(service, server)| format!("{} of {}", printable(server), printable(service)),
        ),
        GraphKind::Ipvs => "IPVS".to_owned(),
        GraphKind::Daemon => "keepwatchd".to_owned(),
    };
    let fine = scene.layout.finest_span() >= request.span.as_secs();
    let mut drawing = Drawing {
        scene,
        fine,
        dark: request.dark,
        names: 0,
        label_width: 0,
        picture: Picture {
            title: shorten(&format!("{subject}: {shows}, {}", span_words(request.span)), request.width),
            unit: "",
            base: 1000,
            lower: Some(0.0),
            upper: None,
            right: None,
            legend_beside: false,
            elements: Vec::new(),
        },
    };
    match (request.kind, view) {
        (GraphKind::Vrrp, "adverts") => drawing.adverts(&object)?,
        (GraphKind::Vrrp, _) => drawing.state(&object)?,
        (GraphKind::Vs, "servers") => drawing.servers(&object)?,
        (GraphKind::Vs | GraphKind::Rs | GraphKind::Ipvs, "traffic") => drawing.traffic(&object)?,
        (GraphKind::Vs, _) => drawing.stack(&object)?,
        (GraphKind::Rs, "open") => drawing.open(&object)?,
        (GraphKind::Rs, "check") => drawing.checks(&object)?,
        (GraphKind::Rs | GraphKind::Ipvs, _) => drawing.connections(&object)?,
        (GraphKind::Daemon, "memory") => drawing.memory(&object)?,
        (GraphKind::Daemon, _) => drawing.delays(&object)?,
    }
    Ok(drawing.picture)
}

/// A quantity that a legend shows.
struct Series {
    /// Variable with the averages, and with the extremes.
    var: String,
    peak: String,
}

struct Drawing<'a> {
    scene: &'a Scene<'a>,
    /// Every step is in the file: averages are the values themselves.
    fine: bool,
    dark: bool,
    names: u32,
    label_width: usize,
    picture: Picture,
}

const BLUE: u32 = 0x0072b2;
const SKY: u32 = 0x56b4e9;
const GREEN: u32 = 0x009e73;
const ORANGE: u32 = 0xe69f00;
const VERMILION: u32 = 0xd55e00;
const PURPLE: u32 = 0xcc79a7;
const GREY: u32 = 0x999999;

/// For stacks: neighbours differ in lightness.
const LIGHT: [u32; STACK_MAX] =
    [BLUE, ORANGE, GREEN, SKY, VERMILION, 0xf0e442, 0x882255, 0x44aa99, 0x332288, 0xddcc77, PURPLE, GREY];
const DARK: [u32; STACK_MAX] =
    [0x3b8fd0, ORANGE, GREEN, SKY, VERMILION, 0xf0e442, 0xb5497f, 0x44aa99, 0x7a6fd0, 0xddcc77, PURPLE, GREY];

impl Drawing<'_> {
    /// Connections per second, stacked by real server.
    fn stack(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "connections/s";
        let whole = self.series(object, "conns")?;
        let servers: Vec<&Object> = self.scene.servers.iter().collect();
        let (shown, rest) =
            if servers.len() > STACK_MAX { servers.split_at(STACK_MAX - 1) } else { (&servers[..], &[][..]) };
        let rest_label = format!("{} others", rest.len());
        let labels: Vec<String> = shown.iter().map(|server| label(server)).collect();
        let all = labels.iter().map(String::as_str).chain(["all together", rest_label.as_str()]);
        self.label_width = all.map(|label| label.chars().count()).max().unwrap_or(0);
        self.picture.legend_beside = shown.len() > 4;
        if self.picture.legend_beside {
            // There is no room for words in each line.
            let head = self.name("n");
            self.picture.elements.push(Element::Vdef { var: head.clone(), rpn: format!("{},LAST", whole.var) });
            let format = format!("{:1$}    last      avg      max\\l:strftime", "", self.label_width);
            self.picture.elements.push(Element::Print { var: head, format });
        }
        let colors = if self.dark { DARK } else { LIGHT };
        for (at, (server, label)) in shown.iter().zip(&labels).enumerate() {
            let Ok(series) = self.series(server, "conns") else { continue };
            // A server that was not there yet does not hide the others.
            let filled = self.cdef(format!("{0},UN,{1},UN,UNKN,0,IF,{0},IF", series.var, whole.var));
            self.area(&filled, Color(colors.get(at).copied().unwrap_or(GREY), 0xff), Some(label), at > 0);
            self.numbers(&series, NUMBER);
        }
        if !rest.is_empty() {
            let parts: Vec<Series> = rest.iter().filter_map(|server| self.series(server, "conns").ok()).collect();
            let sum = |pick: fn(&Series) -> &String| {
                let vars: Vec<&str> = parts.iter().map(|series| pick(series).as_str()).collect();
                format!("{}{}", vars.join(","), ",ADDNAN".repeat(vars.len().saturating_sub(1)))
            };
            let (var, peak) = (sum(|series| &series.var), sum(|series| &series.peak));
            if !parts.is_empty() {
                let series = Series { var: self.cdef(var), peak: self.cdef(peak) };
                let filled = self.cdef(format!("{0},UN,{1},UN,UNKN,0,IF,{0},IF", series.var, whole.var));
                self.area(&filled, Color(GREY, 0xff), Some(&rest_label), true);
                self.numbers(&series, NUMBER);
            }
        }
        let color = Color(theme(self.dark).font, 0xff);
        if shown.is_empty() {
            self.area(&whole.var, Color(BLUE, 0x80), None, false);
        }
        self.line(&whole.var, 1.0, color, Some("all together"));
        self.numbers(&whole, NUMBER);
        Ok(())
    }

    fn connections(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "connections/s";
        let series = self.series(object, "conns")?;
        self.area(&series.var, Color(SKY, 0x90), None, false);
        self.line(&series.var, 1.5, Color(self.on_canvas(BLUE), 0xff), Some("connections"));
        self.numbers(&series, NUMBER);
        if object.kind == GraphKind::Rs {
            self.downtime(object)?;
        }
        Ok(())
    }

    fn traffic(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "bits/s";
        self.label_width = 3;
        for (ds, name, color) in [("in_bytes", "in", GREEN), ("out_bytes", "out", BLUE)] {
            let octets = self.series(object, ds)?;
            let var = self.cdef(format!("{},8,*", octets.var));
            let peak = self.cdef(format!("{},8,*", octets.peak));
            let bits = Series { var, peak };
            if ds == "in_bytes" {
                self.area(&bits.var, Color(color, 0x70), None, false);
            }
            self.line(&bits.var, 1.5, Color(self.on_canvas(color), 0xff), Some(name));
            self.numbers(&bits, "%7.2lf %sb/s");
        }
        Ok(())
    }

    fn servers(&mut self, object: &Object) -> Result<(), GraphError> {
        let scale = self.scene.weight_scale.max(1);
        self.picture.unit = "real servers";
        self.label_width = 15;
        if scale > 1 {
            self.picture.right = Some((scale, "weight"));
        } else {
            self.picture.unit = "real servers, weight";
        }
        let up = self.series(object, "rs_up")?;
        let weight = self.series(object, "weight_up")?;
        let quorum = self.series(object, "quorum_met")?;
        self.area(&up.var, Color(SKY, 0xa0), Some("real servers up"), false);
        self.numbers(&up, "%7.1lf");
        let scaled = self.cdef(format!("{},{scale},/", weight.var));
        self.line(&scaled, 1.5, Color(VERMILION, 0xff), Some("their weight"));
        self.numbers(&weight, "%7.1lf");
        let lost = self.cdef(format!("{},0.5,LT,INF,UNKN,IF", quorum.var));
        self.area(&lost, Color(VERMILION, 0x40), Some("no quorum"), false);
        let share = self.cdef(format!("1,{},-,100,*", quorum.var));
        self.share(&share);
        Ok(())
    }

    fn open(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "connections";
        self.label_width = 10;
        for (ds, name, color, stack) in [
            ("active", "active", BLUE, false),
            ("inactive", "inactive", SKY, true),
            ("persistent", "persistent", ORANGE, false),
        ] {
            let series = self.series(object, ds)?;
            if ds == "persistent" {
                self.line(&series.var, 1.5, Color(color, 0xff), Some(name));
            } else {
                self.area(&series.var, Color(self.on_canvas(color), 0xff), Some(name), stack);
            }
            self.numbers(&series, "%7.1lf %s");
        }
        self.downtime(object)
    }

    fn checks(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "seconds";
        let ms = self.series(object, "check_ms")?;
        let var = self.cdef(format!("{},1000,/", ms.var));
        let peak = self.cdef(format!("{},1000,/", ms.peak));
        let series = Series { var, peak };
        self.area(&series.var, Color(SKY, 0x90), None, false);
        self.line(&series.var, 1.5, Color(self.on_canvas(BLUE), 0xff), Some("last check"));
        self.numbers(&series, "%7.2lf %ss");
        self.downtime(object)
    }

    /// When the real server was down.
    fn downtime(&mut self, object: &Object) -> Result<(), GraphError> {
        let up = self.series(object, "up")?;
        let down = self.cdef(format!("{},0.5,LT,INF,UNKN,IF", up.var));
        self.area(&down, Color(VERMILION, 0x40), Some("down"), false);
        let share = self.cdef(format!("1,{},-,100,*", up.var));
        self.share(&share);
        Ok(())
    }

    /// States as bands behind the priority.
    fn state(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "priority";
        self.picture.upper = Some(255.0);
        self.label_width = 8;
        let state = self.series(object, "state")?;
        let master = self.series(object, "master")?;
        let priority = self.series(object, "priority")?;
        // Within a step of an archive there may have been several states: the one that is nearest to their average, with a
        // majority for master.
        let is = |low: &str, high: &str| format!("{0},0.5,LT,{1},{low},GE,*,{1},{high},LT,*", master.var, state.var);
        let bands = [
            ("master", format!("{},0.5,GE", master.var), GREEN),
            ("backup", is("0.5", "2"), SKY),
            ("fault", is("2", "5"), VERMILION),
            ("init", is("0", "0.5"), GREY),
        ];
        for (name, rpn, color) in bands {
            let band = self.cdef(format!("{},UN,UNKN,{rpn},IF", state.var));
            let shown = self.cdef(format!("{band},INF,UNKN,IF"));
            self.area(&shown, Color(color, 0x80), Some(name), false);
            let share = if name == "master" { master.var.clone() } else { band };
            let share = self.cdef(format!("{share},100,*"));
            self.share(&share);
        }
        self.line(&priority.var, 2.0, Color(theme(self.dark).font, 0xff), Some("priority"));
        self.numbers(&priority, "%4.0lf");
        Ok(())
    }

    fn adverts(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "adverts/s";
        self.label_width = 8;
        for (ds, name, color) in
            [("adv_sent", "sent", GREEN), ("adv_rcvd", "received", BLUE), ("adv_dropped", "refused", VERMILION)]
        {
            let series = self.series(object, ds)?;
            self.line(&series.var, 1.5, Color(self.on_canvas(color), 0xff), Some(name));
            self.numbers(&series, "%7.2lf");
        }
        Ok(())
    }

    fn delays(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "seconds";
        self.label_width = 17;
        let delays =
            [("adv_delay_max_ms", "advert sent late", VERMILION), ("loop_lag_max_ms", "event loop behind", BLUE)];
        for (ds, name, color) in delays {
            let ms = self.series(object, ds)?;
            let var = self.cdef(format!("{},1000,/", ms.var));
            let peak = self.cdef(format!("{},1000,/", ms.peak));
            // What is largest is what matters here: extremes are drawn.
            let series = Series { var, peak };
            self.line(&series.peak, 1.5, Color(self.on_canvas(color), 0xff), Some(name));
            self.numbers(&series, "%7.2lf %ss");
        }
        let agentx = self.series(object, "agentx_up")?;
        let down = self.cdef(format!("{},0.5,LT,INF,UNKN,IF", agentx.var));
        self.area(&down, Color(GREY, 0x30), Some("no AgentX session"), false);
        let share = self.cdef(format!("1,{},-,100,*", agentx.var));
        self.share(&share);
        Ok(())
    }

    fn memory(&mut self, object: &Object) -> Result<(), GraphError> {
        self.picture.unit = "bytes";
        self.picture.base = 1024;
        let series = self.series(object, "rss_bytes")?;
        self.area(&series.var, Color(SKY, 0x90), None, false);
        self.line(&series.var, 1.5, Color(self.on_canvas(BLUE), 0xff), Some("resident, all processes"));
        self.numbers(&series, "%7.2lf %sB");
        Ok(())
    }

    // --- elements

    /// A data source of an object, as averages and as extremes.
    fn series(&mut self, object: &Object, ds: &str) -> Result<Series, GraphError> {
        let missing = || GraphError::NotFound(format!("nothing was recorded of {object}"));
        let (path, ds) = self.scene.layout.find(object, ds).ok_or_else(missing)?;
        let path = (self.scene.locate)(&path).ok_or_else(missing)?;
        let var = self.name("v");
        let def = |var: &String, cf| Element::Def { var: var.clone(), path: path.clone(), ds: ds.to_owned(), cf };
        self.picture.elements.push(def(&var, Cf::Average));
        if self.fine {
            return Ok(Series { peak: var.clone(), var });
        }
        let peak = self.name("v");
        self.picture.elements.push(def(&peak, Cf::Max));
        Ok(Series { var, peak })
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn cdef(&mut self, rpn: String) -> String {
        let var = self.name("c");
        self.picture.elements.push(Element::Cdef { var: var.clone(), rpn });
        var
    }

    fn area(&mut self, var: &str, color: Color, legend: Option<&str>, stack: bool) {
        let legend = legend.map(|text| self.padded(text));
        self.picture.elements.push(Element::Area { var: var.to_owned(), color, legend, stack });
    }

    fn line(&mut self, var: &str, width: f64, color: Color, legend: Option<&str>) {
        let legend = legend.map(|text| self.padded(text));
        let line = Element::Line { var: var.to_owned(), width, color, legend, dashed: false };
        self.picture.elements.push(line);
    }

    fn padded(&self, text: &str) -> String {
        format!("{:<1$}", printable(text), self.label_width)
    }

    /// The last value, the average and the maximum; ends the line of the legend.
    fn numbers(&mut self, series: &Series, format: &str) {
        for (rpn, prefix, end) in [
            (format!("{},LAST", series.var), "last", ""),
            (format!("{},AVERAGE", series.var), "avg", ""),
            (format!("{},MAXIMUM", series.peak), "max", "\\l"),
        ] {
            let var = self.name("n");
            self.picture.elements.push(Element::Vdef { var: var.clone(), rpn });
            let format = match self.picture.legend_beside {
                true => format!("%5.1lf%s{end}"),
                false => format!(" {prefix} {format}{end}"),
            };
            self.picture.elements.push(Element::Print { var, format });
        }
    }

    /// The share of time, per cent; ends the line of the legend.
    fn share(&mut self, var: &str) {
        let number = self.name("n");
        self.picture.elements.push(Element::Vdef { var: number.clone(), rpn: format!("{var},AVERAGE") });
        self.picture.elements.push(Element::Print { var: number, format: " %5.1lf %% of the time\\l".to_owned() });
    }

    /// A dark line cannot be seen on a dark canvas.
    fn on_canvas(&self, color: u32) -> u32 {
        if self.dark && color == BLUE { 0x3b8fd0 } else { color }
    }
}

const NUMBER: &str = "%7.2lf %s";

fn label(server: &Object) -> String {
    server.parts().map_or_else(|| printable(&server.name), |(_, server)| printable(server))
}

/// Text that stays on its line.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// A title that fits the picture.
fn shorten(text: &str, width: u32) -> String {
    let room = usize::try_from(width / 8).unwrap_or(usize::MAX).max(20);
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

fn span_words(span: Duration) -> String {
    let seconds = span.as_secs();
    for (unit, name) in [(366 * 86_400, "year"), (86_400, "day"), (3600, "hour"), (60, "minute")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            let count = seconds / unit;
            return if count == 1 { format!("last {name}") } else { format!("last {count} {name}s") };
        }
    }
    format!("last {seconds} s")
}

impl Color {
    fn argument(self) -> String {
        let Color(rgb, alpha) = self;
        if alpha == 0xff { format!("#{rgb:06X}") } else { format!("#{rgb:06X}{alpha:02X}") }
    }
}

/// A path or a legend within an argument of `rrdtool graph`, where a colon ends it.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace(':', "\\:")
}

impl Picture {
    /// The same as arguments of `rrdtool graph FILE`, without the time.
    pub fn arguments(&self, request: &GraphRequest) -> Vec<String> {
        let theme = theme(request.dark);
        let mut words: Vec<String> = vec!["--full-size-mode".into(), "--slope-mode".into()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        option("--width", request.width.to_string());
        option("--height", request.height.to_string());
        option("--title", self.title.clone());
        option("--vertical-label", self.unit.to_owned());
        option("--base", self.base.to_string());
        if let Some(lower) = self.lower {
            option("--lower-limit", lower.to_string());
        }
        if let Some(upper) = self.upper {
            option("--upper-limit", upper.to_string());
        }
        if let Some((scale, label)) = self.right {
            option("--right-axis", format!("{scale}:0"));
            option("--right-axis-label", label.to_owned());
        }
        for (tag, rgb) in theme.tags() {
            option("--color", format!("{tag}{}", Color(rgb, 0xff).argument()));
        }
        option("--border", "0".to_owned());
        if self.upper.is_some() {
            words.push("--rigid".into());
        }
        if self.legend_beside {
            words.push("--legend-position=east".into());
        }
        words.extend(self.elements.iter().map(Element::argument));
        words
    }
}

impl Theme {
    /// By the names that rrdtool has for them.
    pub fn tags(&self) -> [(&'static str, u32); 9] {
        [
            ("BACK", self.back),
            ("CANVAS", self.canvas),
            ("SHADEA", self.back),
            ("SHADEB", self.back),
            ("GRID", self.grid),
            ("MGRID", self.major_grid),
            ("FONT", self.font),
            ("AXIS", self.axis),
            ("ARROW", self.axis),
        ]
    }
}

impl Element {
    fn argument(&self) -> String {
        let legend_of = |legend: &Option<String>| legend.as_ref().map(|text| format!(":{}", escape(text)));
        match self {
            Element::Def { var, path, ds, cf } => format!("DEF:{var}={}:{ds}:{}", escape(path), cf.name()),
            Element::Cdef { var, rpn } => format!("CDEF:{var}={rpn}"),
            Element::Vdef { var, rpn } => format!("VDEF:{var}={rpn}"),
            Element::Area { var, color, legend, stack } => {
                let legend = legend_of(legend).unwrap_or_else(|| if *stack { ":".to_owned() } else { String::new() });
                format!("AREA:{var}{}{legend}{}", color.argument(), if *stack { ":STACK" } else { "" })
            }
            Element::Line { var, width, color, legend, dashed } => {
                let legend = legend_of(legend).unwrap_or_default();
                format!("LINE{width}:{var}{}{legend}{}", color.argument(), if *dashed { ":dashes" } else { "" })
            }
            Element::Print { var, format } => format!("GPRINT:{var}:{format}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::RrdProfile;
    use crate::export::graph::GraphFormat;

    fn request(kind: GraphKind, name: &str, view: Option<&str>) -> GraphRequest {
        GraphRequest {
            kind,
            name: name.to_owned(),
            view: view.map(str::to_owned),
            span: Duration::from_secs(86_400),
            format: GraphFormat::Svg,
            width: 800,
            height: 300,
            dark: false,
        }
    }

    fn draw(request: &GraphRequest, servers: usize) -> Result<Picture, GraphError> {
        let layout = Layout { profile: RrdProfile::Standard, host: String::new() };
        let servers: Vec<Object> =
            (0..servers).map(|n| Object::server(&request.name, &format!("10.0.0.{n}:80"))).collect();
        let locate = |path: &str| Some(format!("/var/lib/keepwatch/rrd/{path}"));
        picture(request, &Scene { layout: &layout, locate: &locate, servers: &servers, weight_scale: 1 })
    }

    #[test]
    fn every_view_of_every_kind_is_drawn_from_what_is_recorded() {
        for kind in GraphKind::ALL {
            for (view, _) in views(kind) {
                let name = if kind == GraphKind::Rs { "192.0.2.1:80/tcp,10.0.0.1:80" } else { "192.0.2.1:80/tcp" };
                let picture = draw(&request(kind, name, Some(view)), 3).unwrap();
                let legends = picture.elements.iter().filter(|element| {
                    matches!(element, Element::Area { legend: Some(_), .. } | Element::Line { legend: Some(_), .. })
                });
                let ends = picture
                    .elements
                    .iter()
                    .filter(|element| matches!(element, Element::Print { format, .. } if format.ends_with("\\l")));
                assert_eq!(legends.count(), ends.count(), "{kind:?} {view}: each line of the legend ends");
                assert!(!picture.unit.is_empty());
            }
        }
    }

    #[test]
    fn many_real_servers_are_the_largest_eleven_and_the_rest() {
        let legends = |servers: usize| -> Vec<String> {
            let picture = draw(&request(GraphKind::Vs, "192.0.2.1:80/tcp", None), servers).unwrap();
            let areas = picture.elements.into_iter().filter_map(|element| match element {
                Element::Area { legend, .. } => legend.map(|text| text.trim_end().to_owned()),
                _ => None,
            });
            areas.collect()
        };
        assert_eq!(legends(12).len(), 12);
        let many = legends(30);
        assert_eq!((many.len(), many[0].as_str(), many[11].as_str()), (12, "10.0.0.0:80", "19 others"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_the_reason() {
        let base = request(GraphKind::Vrrp, "VI_1", None);
        for (width, height, span) in [(199, 300, 60), (4001, 300, 60), (800, 99, 60), (800, 2001, 60), (800, 300, 59)] {
            let span = Duration::from_secs(span);
            let refused = check(&GraphRequest { width, height, span, ..base.clone() });
            assert!(matches!(refused, Err(GraphError::BadRequest(_))), "{width}x{height}");
        }
        let Err(GraphError::BadRequest(text)) = check(&GraphRequest { view: Some("x".into()), ..base.clone() }) else {
            panic!("there is no such view");
        };
        assert_eq!(text, "the pictures of vrrp are state, adverts");
        let layout = Layout { profile: RrdProfile::Standard, host: String::new() };
        let scene = Scene { layout: &layout, locate: &|_| None, servers: &[], weight_scale: 1 };
        assert!(matches!(picture(&base, &scene), Err(GraphError::NotFound(_))));
    }

    #[test]
    fn colons_and_control_characters_of_names_do_not_end_what_they_stand_in() {
        let picture = draw(&request(GraphKind::Vs, "[2001:db8::1]:80/tcp\n", None), 1).unwrap();
        assert!(!picture.title.contains('\n'));
        let words = picture.arguments(&request(GraphKind::Vs, "x", None));
        assert!(words.iter().any(|word| word.contains(":10.0.0.0\\:80")), "{words:?}");
        let path = Element::Def { var: "a".into(), path: "/a:b/x.rrd".into(), ds: "c".into(), cf: Cf::Max };
        assert_eq!(path.argument(), "DEF:a=/a\\:b/x.rrd:c:MAX");
    }

    #[test]
    fn beyond_what_is_kept_of_each_step_the_largest_value_is_that_of_the_maxima() {
        let mut long = request(GraphKind::Ipvs, "", None);
        let maxima = |request: &GraphRequest| {
            let picture = draw(request, 0).unwrap();
            picture.elements.iter().filter(|element| matches!(element, Element::Def { cf: Cf::Max, .. })).count()
        };
        assert_eq!(maxima(&long), 0);
        long.span = Duration::from_secs(86_401);
        assert_eq!(maxima(&long), 1);
    }

    #[test]
    fn spans_are_told_in_words() {
        let words = [60, 90, 3600, 7200, 86_400, 7 * 86_400].map(|seconds| span_words(Duration::from_secs(seconds)));
        assert_eq!(words, ["last minute", "last 90 s", "last hour", "last 2 hours", "last day", "last 7 days"]);
    }

    /// Each picture as a script for `rrdtool graph`, but that of the stack, which has a loop and is written by hand.
    #[test]
    fn the_scripts_in_dashboards_draw_what_keepwatch_draws() {
        const FILE: &str = "FILE";
        let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/rrdtool");
        let layout = Layout { profile: RrdProfile::Standard, host: String::new() };
        let scene = Scene { layout: &layout, locate: &|_| Some(FILE.to_owned()), servers: &[], weight_scale: 1 };
        for kind in GraphKind::ALL {
            for (view, shows) in views(kind).iter().filter(|(view, _)| (kind, *view) != (GraphKind::Vs, "connections"))
            {
                let picture = picture(&request(kind, "", Some(view)), &scene).unwrap();
                let example = match kind {
                    GraphKind::Vrrp => "vrrp/VI_1.rrd",
                    GraphKind::Vs => "vs/tcp-192.0.2.10%3A80.rrd",
                    GraphKind::Rs => "rs/tcp-192.0.2.10%3A80/10.0.0.1%3A80.rrd",
                    GraphKind::Ipvs => "ipvs.rrd",
                    GraphKind::Daemon => "daemon.rrd",
                };
                let mut text = format!(
                    "#!/bin/sh\n# {shows}: {view} of `keepwatch graph {0}`, from which this is made.\n#\n\
                     #   {0}-{view}.sh [FILE] [OUT.svg|OUT.png] [SPAN]\nset -eu\n\
                     path=${{1:-/var/lib/keepwatch/rrd/{example}}}\nout=${{2:-{0}-{view}.svg}}\nspan=${{3:-1d}}\n\
                     # A colon ends a path unless there is a backslash before it.\n\
                     file=$(printf '%s' \"$path\" | sed 's/[\\\\:]/\\\\&/g')\n\
                     format=$(printf '%s' \"${{out##*.}}\" | tr '[:lower:]' '[:upper:]')\n\
                     exec rrdtool graph \"$out\" --imgformat \"$format\" --start \"end-$span\" --end now",
                    kind.name()
                );
                let mut title = false;
                for word in picture.arguments(&request(kind, "", Some(view))) {
                    let word = if std::mem::take(&mut title) { format!("{} {shows}", kind.name()) } else { word };
                    title = word == "--title";
                    match word.split_once("=FILE:") {
                        Some((var, rest)) => text.push_str(&format!(" \\\n  \"{var}=$file:{rest}\"")),
                        None => text.push_str(&format!(" \\\n  '{word}'")),
                    }
                }
                text.push('\n');
                let file = place.join(format!("{}-{view}.sh", kind.name()));
                if std::env::var_os("KEEPWATCH_RENEW").is_some() {
                    std::fs::write(&file, &text).unwrap();
                }
                let have = std::fs::read_to_string(&file).unwrap_or_default();
                assert_eq!(have, text, "{}: KEEPWATCH_RENEW=1 writes it anew", file.display());
            }
        }
    }
}
