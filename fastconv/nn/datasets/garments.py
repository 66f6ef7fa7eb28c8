"""The ten garments of fashion-sketch, each drawn on a whole batch of canvases with its own random proportions.

Coordinates are pixels from the middle of the picture, y downwards; `canvas.m` is the distance from the vertical axis,
so what is drawn at positive `m` appears on both sides. Polygons go clockwise; a corner at m = FAR lies beyond the axis.
The upper garments differ in what a convolution sees best: sleeves, neck, front and buttons.
"""

from __future__ import annotations

from .sketch import Canvas, Field, Number, ellipse, polygon, stroke, union, without

FAR = -20.0


def _torso(canvas: Canvas, top: Number, bottom: Number, shoulder: Number, hem: Number) -> Field:
    slope = canvas.draw(0.8, 2.2)
    return polygon(canvas.m, canvas.y, (FAR, top), (2.0, top), (shoulder, top + slope), (hem, bottom), (FAR, bottom))


def _sleeve(canvas: Canvas, top: Number, shoulder: Number, cuff_m: Number, cuff_y: Number, width: Number) -> Field:
    """From the shoulder to a cuff whose outer end is at (cuff_m, cuff_y)."""
    inner = (cuff_m - width, cuff_y + 0.35 * width)
    return polygon(
        canvas.m, canvas.y, (shoulder - 2.5, top + 0.8), (cuff_m, cuff_y), inner, (shoulder - 3.0, top + 6.5)
    )


def _long_sleeves(canvas: Canvas, top: Number, shoulder: Number, bottom: Number) -> tuple[Field, Field]:
    cuff_m, cuff_y = shoulder + canvas.draw(3.8, 6.4), bottom - canvas.draw(1.0, 5.0)
    sleeve = _sleeve(canvas, top, shoulder, cuff_m, cuff_y, canvas.draw(2.2, 2.9))
    cuff = polygon(
        canvas.m, canvas.y, (FAR, cuff_y - 1.2), (20.0, cuff_y - 1.2), (20.0, cuff_y - 0.4), (FAR, cuff_y - 0.4)
    )
    return sleeve, cuff


def _short_sleeves(canvas: Canvas, top: Number, shoulder: Number) -> Field:
    cuff_m, cuff_y = shoulder + canvas.draw(2.0, 4.0), top + canvas.draw(4.5, 7.0)
    return _sleeve(canvas, top, shoulder, cuff_m, cuff_y, canvas.draw(3.0, 3.8))


def t_shirt(canvas: Canvas) -> None:
    """Short sleeves, round neck, sometimes a print."""
    top, bottom, shoulder = canvas.draw(-10.5, -8.5), canvas.draw(8.0, 11.0), canvas.draw(5.4, 7.0)
    body = _torso(canvas, top, bottom, shoulder, shoulder + canvas.draw(-1.2, 0.8))
    sleeve = _short_sleeves(canvas, top, shoulder)
    neck = ellipse(canvas.m, canvas.y, (0.0, top), (canvas.draw(2.2, 3.6), canvas.draw(1.6, 3.6)))
    canvas.paint(without(union(body, sleeve), neck))
    canvas.outline(without(body, neck))
    logo = ellipse(
        canvas.x, canvas.y, (0.0, top + canvas.draw(6.0, 9.0)), (canvas.draw(1.5, 3.5), canvas.draw(1.0, 3.0))
    )
    canvas.mark(logo, canvas.chance(0.3) * canvas.draw(-0.5, 0.6))


def trouser(canvas: Canvas) -> None:
    """Two legs with a gap, and a waistband."""
    top, bottom, waist = canvas.draw(-12.0, -10.0), canvas.draw(10.0, 12.5), canvas.draw(3.2, 4.8)
    hip, ankle, gap = waist + canvas.draw(0.2, 1.2), canvas.draw(3.0, 5.6), canvas.draw(0.2, 1.8)
    crotch = top + canvas.draw(6.0, 8.5)
    seat = polygon(canvas.m, canvas.y, (FAR, top), (waist, top), (hip, crotch), (FAR, crotch))
    leg = polygon(canvas.m, canvas.y, (0.1, crotch - 2.0), (hip, crotch - 1.0), (ankle, bottom), (gap, bottom))
    trousers = union(seat, leg)
    canvas.paint(trousers)
    canvas.outline(leg)
    canvas.mark(stroke(canvas.m, canvas.y, (0.0, top + 1.6), (8.0, top + 1.6), 0.6), 0.4)


def pullover(canvas: Canvas) -> None:
    """Long sleeves with cuffs, a small neck, a ribbed hem."""
    top, bottom, shoulder = canvas.draw(-10.5, -8.5), canvas.draw(8.0, 11.0), canvas.draw(4.6, 6.2)
    hem = shoulder + canvas.draw(-0.8, 0.8)
    body = _torso(canvas, top, bottom, shoulder, hem)
    sleeve, cuff = _long_sleeves(canvas, top, shoulder, bottom)
    neck = ellipse(canvas.m, canvas.y, (0.0, top - 0.2), (canvas.draw(2.0, 3.0), canvas.draw(1.0, 2.2)))
    canvas.paint(without(union(body, sleeve), neck))
    canvas.outline(without(body, neck))
    canvas.mark(without(cuff, -sleeve), 0.35)
    canvas.mark(
        polygon(canvas.m, canvas.y, (FAR, bottom - 2.0), (hem, bottom - 2.0), (hem, bottom), (FAR, bottom)), 0.2
    )


def dress(canvas: Canvas) -> None:
    """A bodice without sleeves (or short ones), a belt, a flaring skirt."""
    top, bottom, shoulder = canvas.draw(-12.0, -10.5), canvas.draw(9.5, 12.5), canvas.draw(2.8, 4.6)
    middle, waist, hem = canvas.draw(-4.0, 0.0), canvas.draw(2.2, 3.8), canvas.draw(4.0, 8.0)
    bodice = polygon(
        canvas.m, canvas.y, (FAR, top), (shoulder, top), (shoulder, top + 4.0), (waist, middle), (FAR, middle)
    )
    skirt = polygon(canvas.m, canvas.y, (FAR, middle - 0.5), (waist, middle - 0.5), (hem, bottom), (FAR, bottom))
    neck = ellipse(canvas.m, canvas.y, (0.0, top), (canvas.draw(1.2, 2.6), canvas.draw(1.5, 4.5)))
    sleeve = _short_sleeves(canvas, top, shoulder + 0.6) + 30.0 * (1.0 - canvas.chance(0.3))
    canvas.paint(without(union(bodice, skirt, sleeve), neck))
    belt = polygon(
        canvas.m, canvas.y, (FAR, middle - 0.7), (20.0, middle - 0.7), (20.0, middle + 0.5), (FAR, middle + 0.5)
    )
    canvas.mark(belt, canvas.draw(0.1, 0.6))


def coat(canvas: Canvas) -> None:
    """Long sleeves, longer than the others, open in front with lapels."""
    top, bottom, shoulder = canvas.draw(-11.5, -9.5), canvas.draw(9.5, 12.5), canvas.draw(4.8, 6.4)
    body = _torso(canvas, top, bottom, shoulder, shoulder + canvas.draw(-0.3, 2.0))
    sleeve, _ = _long_sleeves(canvas, top, shoulder, bottom - canvas.draw(0.0, 3.0))
    canvas.paint(union(body, sleeve))
    canvas.outline(body, 0.35)
    lapel = canvas.draw(4.0, 8.5)
    opening = polygon(
        canvas.m, canvas.y, (FAR, top - 1.0), (canvas.draw(1.4, 2.6), top - 1.0), (0.1, top + lapel), (FAR, top + lapel)
    )
    canvas.mark(opening, canvas.draw(0.5, 0.9))
    front = stroke(canvas.x, canvas.y, (0.0, top + lapel - 1.0), (0.0, bottom), canvas.draw(0.5, 1.1))
    canvas.mark(front, canvas.draw(0.45, 0.85))
    pocket_y = canvas.draw(2.0, 5.0)
    pocket = stroke(canvas.m, canvas.y, (2.0, pocket_y), (4.6, pocket_y - 0.8), 0.7)
    canvas.mark(pocket, canvas.chance(0.5) * 0.5)


def sandal(canvas: Canvas) -> None:
    """A flat or high sole with straps and air between them."""
    canvas.flip()
    floor, heel, toe = canvas.draw(4.0, 6.5), canvas.draw(0.3, 6.0), canvas.draw(10.0, 12.5)
    x, y = canvas.x, canvas.y
    back = (-11.0, floor - heel)
    canvas.paint(stroke(x, y, (-10.5, floor - heel - 0.5), (-2.0, floor - 0.6 - 0.5 * heel), 1.6), 0.8)
    canvas.paint(stroke(x, y, (-2.0, floor - 0.6 - 0.5 * heel), (toe, floor - 0.6), 1.6), 0.8)
    canvas.paint(polygon(x, y, back, (-7.0, floor - 0.8 * heel), (canvas.draw(-9.0, -2.0), floor), (-11.0, floor)), 0.7)
    width, rise = canvas.draw(0.9, 1.9), canvas.draw(4.0, 7.0)
    ankle = floor - heel - rise
    canvas.paint(stroke(x, y, (-10.0, floor - heel), (-8.0, ankle), width))
    canvas.paint(stroke(x, y, (-8.5, ankle), (-3.0, ankle + 0.8), width))
    canvas.paint(stroke(x, y, (-3.0, ankle + 0.8), (canvas.draw(-1.0, 3.0), floor - 1.0 - 0.4 * heel), width))
    canvas.paint(stroke(x, y, (canvas.draw(3.0, 5.0), floor - 5.0), (toe - 1.5, floor - 1.0), width))
    canvas.paint(stroke(x, y, (4.0, floor - 4.8), (canvas.draw(1.0, 3.5), floor - 1.0), width))


def shirt(canvas: Canvas) -> None:
    """Long or short sleeves, a collar, a buttoned front."""
    top, bottom, shoulder = canvas.draw(-10.5, -8.5), canvas.draw(8.0, 11.0), canvas.draw(4.6, 6.2)
    body = _torso(canvas, top, bottom, shoulder, shoulder + canvas.draw(-1.0, 1.0))
    long, cuff = _long_sleeves(canvas, top, shoulder, bottom)
    short = _short_sleeves(canvas, top, shoulder)
    is_long = canvas.chance(0.6)
    sleeve = is_long * long + (1.0 - is_long) * short
    collar = polygon(
        canvas.m, canvas.y, (0.2, top + 0.5), (2.6, top - 1.4), (3.4, top + 0.8), (canvas.draw(0.8, 1.6), top + 3.2)
    )
    canvas.paint(union(body, sleeve))
    canvas.outline(body)
    canvas.mark(without(cuff, -sleeve), 0.35 * is_long)
    canvas.paint(collar, canvas.draw(1.05, 1.3))
    canvas.outline(collar, 0.45)
    placket = stroke(canvas.x, canvas.y, (0.0, top + 2.0), (0.0, bottom), 1.9)
    canvas.outline(placket, canvas.draw(0.25, 0.5))
    for step in range(5):
        button = ellipse(canvas.x, canvas.y, (0.0, top + 3.5 + 3.0 * step), (0.7, 0.7))
        canvas.mark(button, 0.6)


def sneaker(canvas: Canvas) -> None:
    """Low, with a toe box, laces, a sole of another tone and a stripe."""
    canvas.flip()
    x, y = canvas.x, canvas.y
    floor, height, toe = canvas.draw(4.0, 6.5), canvas.draw(7.0, 9.0), canvas.draw(10.5, 12.0)
    collar, tongue = floor - height, canvas.draw(-3.5, -1.5)
    back = polygon(
        x, y, (-10.8, collar + 1.2), (tongue, collar), (tongue + 7.0, floor - 3.0), (6.0, floor), (-11.3, floor)
    )
    ankle = ellipse(x, y, (tongue - 4.5, collar - 0.3), (3.6, canvas.draw(1.2, 2.4)))
    box = ellipse(x, y, (toe - 6.0, floor - 0.5), (6.0, canvas.draw(3.6, 4.8)))
    upper = without(union(back, box), ankle, floor - y)
    canvas.paint(upper)
    canvas.outline(upper)
    sole = polygon(x, y, (-11.6, floor - 1.6), (toe, floor - 1.6), (toe + 0.4, floor + 0.2), (-11.6, floor + 0.2))
    canvas.paint(sole, canvas.draw(0.4, 1.5))
    for step in range(3):
        at = tongue + 1.6 + 1.6 * step
        canvas.mark(stroke(x, y, (at, collar + 1.4 + 1.3 * step), (at - 1.6, collar + 3.2 + step), 0.7), 0.6)
    stripe = stroke(x, y, (-4.5, floor - 2.2), (canvas.draw(-4.0, -1.0), floor - 5.0), canvas.draw(0.8, 1.8))
    canvas.mark(stripe, canvas.draw(-0.5, 0.6))


def bag(canvas: Canvas) -> None:
    """A box or trapezium with a handle and a flap."""
    top, bottom, base = canvas.draw(-4.0, 0.0), canvas.draw(7.0, 10.5), canvas.draw(7.5, 11.5)
    mouth = base - canvas.draw(-0.5, 3.5)
    body = polygon(canvas.m, canvas.y, (FAR, top), (mouth, top), (base, bottom), (FAR, bottom))
    reach, rise, width = canvas.draw(3.0, 6.5), canvas.draw(3.0, 9.0), canvas.draw(0.8, 1.6)
    arch = ellipse(canvas.x, canvas.y, (0.0, top + 0.5), (reach, rise))
    inner = ellipse(canvas.x, canvas.y, (0.0, top + 0.5), (reach - width, rise - width))
    canvas.paint(without(arch, inner), 0.8)
    canvas.paint(body)
    canvas.outline(body, 0.35)
    flap = canvas.draw(2.0, 6.0)
    canvas.mark(stroke(canvas.m, canvas.y, (0.0, top + flap), (mouth, top + flap - 0.6), 0.8), canvas.draw(0.0, 0.6))
    canvas.mark(ellipse(canvas.x, canvas.y, (0.0, top + flap), (1.1, 1.0)), canvas.draw(-0.5, 0.5))


def ankle_boot(canvas: Canvas) -> None:
    """A high shaft on a foot, with a heel."""
    canvas.flip()
    x, y = canvas.x, canvas.y
    floor, toe, top = canvas.draw(8.0, 10.5), canvas.draw(9.5, 11.5), canvas.draw(-11.0, -7.0)
    heel, front = canvas.draw(1.0, 4.0), canvas.draw(-1.5, 1.0)
    sole = floor - heel
    shaft = polygon(x, y, (canvas.draw(-10.0, -8.5), top), (front, top), (front + 1.0, sole), (-9.5, sole))
    foot = polygon(
        x,
        y,
        (-8.0, sole - 6.0),
        (front + 1.0, sole - 6.5),
        (toe - 2.5, floor - 4.0),
        (toe, floor - 1.0),
        (2.0, floor - 1.0),
        (-9.5, sole),
    )
    boot = union(shaft, foot)
    canvas.paint(boot)
    canvas.outline(boot, 0.3)
    canvas.paint(
        polygon(x, y, (-9.8, sole - 1.0), (-4.0, sole - 0.5), (canvas.draw(-6.5, -4.5), floor), (-9.5, floor)), 0.7
    )
    canvas.paint(stroke(x, y, (-3.0, sole + 0.3 * heel), (toe - 0.5, floor - 0.7), 1.3), 0.7)
    zip_x = canvas.draw(-5.0, -2.0)
    canvas.mark(stroke(x, y, (zip_x, top + 1.0), (zip_x, sole - 4.0), 0.7), canvas.chance(0.5) * 0.6)


DRAWINGS = (t_shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot)
